// Rows of maps for steps that work on floats: read from and written to the form that a map is stored in.
#pragma once

#include <optional>
#include <vector>

#include "exec/steps/step.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::exec {

// A tensor that a step reads.
struct StepInput {
  int tensor = -1;
  Form form = Form::floats;    // as it is stored
  std::optional<Quant> quant;  // its numbers become these codes first
};

// How a map's numbers become codes: the channels multiplied by `factors` (empty: 1) first.
struct Coding {
  Quant quant;
  std::vector<float> factors;
  bool operator==(const Coding&) const = default;
};

// A tensor that a step writes, and the form that it is stored in.
struct StepOutput {
  int tensor = -1;
  std::optional<Coding> coding;  // codes
  Form numbers = Form::floats;   // else
  Form form() const { return coding ? Form::codes : numbers; }
};

// How the floats of a value become codes.
struct CodeTable {
  CodeTable() = default;
  // `columns` inverse scales, those of `factors` over and over; empty factors are 1.
  CodeTable(const Quant& quant, const std::vector<float>& factors, int64_t columns, int panel);
  CodeRule rule(int64_t first = 0) const {
    return {inverse_scales.data() + first, lowest, highest};
  }  // of columns from `first` on

  FloatBuffer inverse_scales;
  float lowest = 0, highest = 0;
};

// What a step reads, as floats that are its numbers divided by scale().
class RowSource {
 public:
  RowSource(const KernelSet& set, const StepInput& in, int64_t channels);
  int tensor() const { return in_.tensor; }
  bool coded() const { return in_.quant.has_value(); }
  float scale() const { return coded() ? in_.quant->scale : 1; }
  // Floats of scratch that rows() of as many pixels needs.
  int64_t scratch(int64_t pixels) const { return in_.form == Form::floats && !coded() ? 0 : pixels * channels_; }
  // Pixels [pixel, pixel + pixels), [pixels][channels]: the map's own, or made in `scratch`.
  const float* rows(const RunContext& context, int64_t pixel, int64_t pixels, float* scratch) const;
  // The same, multiplied by scale() already.
  const float* numbers(const RunContext& context, int64_t pixel, int64_t pixels, float* scratch) const;

 private:
  const KernelSet& set_;
  StepInput in_;
  int64_t channels_;
  CodeTable table_;
};

// Where a step's results go: straight into the output, or, where that is not stored as floats, through scratch.
class ResultRows {
 public:
  ResultRows(const KernelSet& set, const StepOutput& out, int64_t channels);
  Form form() const { return form_; }
  int64_t channels() const { return channels_; }
  // Floats of scratch that as many pixels need.
  int64_t scratch(int64_t pixels) const { return form_ == Form::floats ? 0 : pixels * channels_; }
  // Where to compute pixels from `pixel` on, [..][channels]; then store() `rows` of them.
  float* floats(const RunContext& context, int64_t pixel, float* scratch) const {
    return form_ != Form::floats ? scratch : context.out(tensor_) + pixel * channels_;
  }
  void store(const RunContext& context, int64_t pixel, int64_t rows, const float* scratch) const {
    if (form_ != Form::floats) store_columns(context, pixel, rows, 0, channels_, scratch, channels_);
  }
  // Of rows scratch[rows][lda] of the channels [first, first + columns) alone.
  void store_columns(const RunContext& context, int64_t pixel, int64_t rows, int64_t first, int64_t columns, const float* scratch,
                     int64_t lda) const;
  // The output itself from channel `first` of `pixel` on, and how it is coded there.
  void* at(const RunContext& context, int64_t pixel, int64_t first) const;
  CodeRule rule(int64_t first) const { return table_.rule(first); }
  float unit(const RunContext& context) const { return context.unit(tensor_); }

 private:
  const KernelSet& set_;
  int tensor_;
  int64_t channels_;
  Form form_;
  CodeTable table_;
};

}  // namespace cytodet::exec
