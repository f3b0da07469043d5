#include "exec/steps/norm_step.h"

#include <algorithm>
#include <cmath>

#include "exec/kernels/expression/expression.h"

namespace cytodet::exec {
namespace {

class NormStep : public Step {
 public:
  NormStep(const Norm& norm, const StepInput& input, const StepOutput& output)
      : norm_(norm),
        channels_(norm.groups * norm.columns),
        kernels_(expression_kernels()),
        source_(kernels(), input, channels_),
        results_(kernels(), output, channels_) {
    inputs = {input.tensor};
    outputs = {output.tensor};
    info.kernel = input.fake_quant ? "int8_norm" : "norm";
    by_rows_ = norm.rows == 1 && norm.groups == 1;
    block_ = std::clamp<int64_t>(kBlock / channels_, 1, by_rows_ ? norm.outer : norm.rows);
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    const int64_t pieces = by_rows_ ? (norm_.outer + block_ - 1) / block_ : norm_.outer;
    for_each_chunk(context.threads, pieces, 1, [&](int64_t begin, int64_t end, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      for (int64_t i = begin; i < end; ++i)
        if (by_rows_)
          normalize_rows(context, i * block_, std::min(block_, norm_.outer - i * block_), ws);
        else
          normalize_groups(context, i * norm_.rows, ws);
    });
  }

 private:
  static constexpr int64_t kBlock = 4096;  // floats that are worked on at a time

  struct Workspace {
    float *input, *results;                  // of a block
    double* sums;                            // [channels], of the next two: of a block and of all
    float *part, *means, *factors, *shifts;  // [channels]
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    const int64_t of_channels = by_rows_ ? 0 : channels_;
    float *input = alloc.floats(source_.scratch(block_)), *results = alloc.floats(results_.scratch(block_));
    auto* sums = reinterpret_cast<double*>(alloc.floats(2 * of_channels));
    float *part = alloc.floats(of_channels), *means = alloc.floats(of_channels), *factors = alloc.floats(of_channels);
    return {input, results, sums, part, means, factors, alloc.floats(of_channels)};
  }

  void normalize_rows(const RunContext& context, int64_t first, int64_t rows, const Workspace& ws) const {
    const float* in = source_.values(context, first, rows, ws.input);
    kernels_.normalize(in, rows, channels_, norm_.epsilon, norm_.centred, norm_.scale.data(), norm_.shift.data(),
                       results_.floats(context, first, ws.results));
    results_.store(context, first, rows, ws.results);
  }

  // visit(values, first row, rows) for blocks of the rows of one part of the outer dimension.
  template <class Visit>
  void for_each_block(const RunContext& context, int64_t first, const Workspace& ws, Visit visit) const {
    for (int64_t row = 0; row < norm_.rows; row += block_) {
      const int64_t rows = std::min(block_, norm_.rows - row);
      visit(source_.values(context, first + row, rows, ws.input), first + row, rows);
    }
  }

  // In `means` for each channel the mean over its group of (x - means)^2, or of x.
  void mean_of_groups(const RunContext& context, int64_t first, bool squares, const Workspace& ws, float* means) const {
    const auto add = kernels_.of_two(ExprOp::add, OneValue::none);
    const auto difference = kernels_.of_two(ExprOp::squared_difference, OneValue::none);
    std::fill(ws.sums, ws.sums + channels_, 0.0);
    for_each_block(context, first, ws, [&](const float* in, int64_t, int64_t rows) {
      std::fill(ws.part, ws.part + channels_, 0.0f);
      for (int64_t r = 0; r < rows; ++r, in += channels_) {
        if (squares) difference(in, ws.means, ws.shifts, channels_);
        add(ws.part, squares ? ws.shifts : in, ws.part, channels_);
      }
      for (int64_t c = 0; c < channels_; ++c) ws.sums[c] += ws.part[c];
    });
    for (int64_t g = 0; g < norm_.groups; ++g) {
      double total = 0;
      for (int64_t c = 0; c < norm_.columns; ++c) total += ws.sums[g * norm_.columns + c];
      const auto mean = static_cast<float>(total / static_cast<double>(norm_.rows * norm_.columns));
      std::fill_n(means + g * norm_.columns, norm_.columns, mean);
    }
  }

  void normalize_groups(const RunContext& context, int64_t first, const Workspace& ws) const {
    if (norm_.centred)
      mean_of_groups(context, first, false, ws, ws.means);
    else
      std::fill(ws.means, ws.means + channels_, 0.0f);
    mean_of_groups(context, first, true, ws, ws.factors);
    for (int64_t c = 0; c < channels_; ++c) {
      const auto i = static_cast<size_t>(c);
      ws.factors[c] = norm_.scale[i] / std::sqrt(ws.factors[c] + norm_.epsilon);
      ws.shifts[c] = norm_.shift[i];
    }
    // The mean is taken off first: rounded after a multiplication it would show where values hardly differ.
    const auto subtract = kernels_.of_two(ExprOp::sub, OneValue::none);
    const auto mul_add = kernels_.of_three(ExprOp::mul_add);
    for_each_block(context, first, ws, [&](const float* in, int64_t pixel, int64_t rows) {
      float* out = results_.floats(context, pixel, ws.results);
      for (int64_t r = 0; r < rows; ++r) {
        subtract(in + r * channels_, ws.means, ws.part, channels_);
        mul_add(ws.part, ws.factors, ws.shifts, out + r * channels_, channels_);
      }
      results_.store(context, pixel, rows, ws.results);
    });
  }

  Norm norm_;
  int64_t channels_;
  const ExpressionKernels& kernels_;
  RowSource source_;
  ResultRows results_;
  bool by_rows_ = true;
  int64_t block_ = 1;
};

}  // namespace

std::unique_ptr<Step> make_norm(const Norm& norm, const StepInput& input, const StepOutput& output) {
  return std::make_unique<NormStep>(norm, input, output);
}

}  // namespace cytodet::exec
