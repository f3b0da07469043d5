// Rows of feature maps for steps that compute on floats: read from, and written to, whatever storage type a map has.
#pragma once

#include <optional>
#include <vector>

#include "exec/steps/step.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::exec {

// A tensor that a step reads.
struct StepInput {
  int tensor = -1;
  StorageType storage = StorageType::f32;
  std::optional<QuantParams> fake_quant;  // values are quantized and dequantized with these before they are used
};

// How the values of a feature map are quantized: channel c is multiplied by factors[c] (empty: 1) first.
struct QuantizeSpec {
  QuantParams quant;
  std::vector<float> factors;
  bool operator==(const QuantizeSpec&) const = default;
};

// A tensor that a step writes, and how it is stored.
struct StepOutput {
  int tensor = -1;
  std::optional<QuantizeSpec> quant;             // quantized (q8)
  StorageType float_storage = StorageType::f32;  // else: f32, f16 or bf16
  StorageType storage() const { return quant ? StorageType::q8 : float_storage; }
};

// QuantizeParams with the memory that they point to: [columns padded to a multiple of `panel`].
struct PackedQuantizeParams {
  PackedQuantizeParams() = default;
  // `columns` inverse scales, those of `factors` repeated; empty factors are 1.
  PackedQuantizeParams(const QuantParams& quant, const std::vector<float>& factors, int64_t columns, int panel);
  // For the columns from `first` on; without scales where nothing is quantized.
  QuantizeParams params(int64_t first = 0) const {
    const float* scales = inverse_scales.data();
    return {scales ? scales + first : nullptr, qmin, qmax};
  }

  FloatBuffer inverse_scales;
  float qmin = 0, qmax = 0;
};

// Reads pixels of a feature map of [pixels][channels] as floats. If they are to be fake-quantized, rows() gives the quantized
// integers as floats, and the caller multiplies its result by scale().
class RowSource {
 public:
  RowSource(const KernelSet& set, const StepInput& in, int64_t channels);
  int tensor() const { return in_.tensor; }
  bool quantized() const { return in_.fake_quant.has_value(); }
  float scale() const { return quantized() ? in_.fake_quant->scale : 1; }
  // Floats of scratch that rows() of so many pixels needs.
  int64_t scratch(int64_t pixels) const { return in_.storage == StorageType::f32 && !quantized() ? 0 : pixels * channels_; }
  // Pixels [pixel, pixel + pixels), divided by scale(): the map's own memory, or converted in `scratch`.
  const float* rows(const RunContext& context, int64_t pixel, int64_t pixels, float* scratch) const;
  // Whether the map is stored as the bytes q - qmin of these integers; the larger value has the larger byte.
  bool reads_bytes() const { return quantized() && in_.storage == StorageType::q8; }
  // Pixels from `pixel` on as the map holds them: such bytes, or fp16 values that are not quantized.
  StoredResidual stored(const RunContext& context, int64_t pixel) const {
    const FeatureMap map = context.feature_map(in_.tensor);
    if (reads_bytes()) return {StorageType::q8, map.q8(pixel * channels_), scale(), params_.qmin};
    return {StorageType::f16, map.f16(pixel * channels_).data, map.fp16_scale, 0};
  }
  // If reads_bytes(): out[values] = the integers q of the map's bytes, as floats.
  void from_bytes(const uint8_t* bytes, int64_t values, float* out) const { set_.dequantize(bytes, values, params_.qmin, out); }
  // If reads_bytes(): out[values] = the sums of q over `count` rows of bytes.
  void sum_of_bytes(const uint8_t* const* rows, int count, int64_t values, float* out) const {
    set_.sum_q8(rows, count, values, params_.qmin, out);
  }
  // rows() multiplied by scale().
  const float* values(const RunContext& context, int64_t pixel, int64_t pixels, float* scratch) const;

 private:
  const KernelSet& set_;
  StepInput in_;
  int64_t channels_;
  PackedQuantizeParams params_;
};

// Writes a step's results, [pixels][channels] floats: straight into the output, or, where that is not stored as floats, converted
// from scratch.
class ResultRows {
 public:
  ResultRows(const KernelSet& set, const StepOutput& out, int64_t channels);
  StorageType storage() const { return storage_; }
  int64_t channels() const { return channels_; }
  // Floats of scratch that so many pixels need.
  int64_t scratch(int64_t pixels) const { return storage_ == StorageType::f32 ? 0 : pixels * channels_; }
  // The place to compute pixels from `pixel` on: the tensor itself where it holds floats, otherwise `scratch`, from which
  // store() writes them.
  float* floats(const RunContext& context, int64_t pixel, float* scratch) const {
    return storage_ != StorageType::f32 ? scratch : context.out(tensor_) + pixel * channels_;
  }
  void store(const RunContext& context, int64_t pixel, int64_t pixels, const float* scratch) const {
    if (storage_ != StorageType::f32) store_columns(context, pixel, pixels, 0, channels_, scratch, channels_);
  }
  // Channels [first, first + columns) alone, of scratch[pixels][lda].
  void store_columns(const RunContext& context, int64_t pixel, int64_t pixels, int64_t first, int64_t columns,
                     const float* scratch, int64_t lda) const;
  // Whether products in 8 bits store such results themselves; store_by() then says how, for pixels from `pixel` on.
  bool stored_by_products() const { return storage_ == StorageType::q8 || storage_ == StorageType::f16; }
  void store_by(const RunContext& context, int64_t pixel, Epilogue& e) const {
    const float scale = storage_ == StorageType::f16 ? fp16_scale(context) : 1;
    e.stored = {storage_, params_.params(), scale, at(context, pixel, 0), channels_};
  }
  // The output's own memory from channel `first` of `pixel` on, and how it is quantized there.
  void* at(const RunContext& context, int64_t pixel, int64_t first) const;
  QuantizeParams params(int64_t first) const { return params_.params(first); }
  float fp16_scale(const RunContext& context) const { return context.fp16_scale(tensor_); }

 private:
  const KernelSet& set_;
  int tensor_;
  int64_t channels_;
  StorageType storage_;
  PackedQuantizeParams params_;
};

// The residual of a product: pixels from `pixel` on, as floats, or as the map holds them where the product stores its results
// itself and so can read them. `e.stored` is set before.
class ResidualRows {
 public:
  ResidualRows(const KernelSet& set, const StepInput& in, int64_t channels, bool added_first, bool stores_itself)
      : source_(set, in, channels),
        channels_(channels),
        added_first_(added_first),
        as_stored_(stores_itself && (source_.reads_bytes() || (in.storage == StorageType::f16 && !in.fake_quant))) {}
  int64_t scratch(int64_t pixels) const { return as_stored_ ? 0 : source_.scratch(pixels); }
  void add_to(Epilogue& e, const RunContext& context, int64_t pixel, int64_t pixels, float* scratch) const {
    e.residual_stride = channels_;
    e.residual_first = added_first_;
    if (as_stored_)
      e.stored_residual = source_.stored(context, pixel);
    else
      e.residual = source_.values(context, pixel, pixels, scratch);
  }

 private:
  RowSource source_;
  int64_t channels_;
  bool added_first_, as_stored_;
};

}  // namespace cytodet::exec
