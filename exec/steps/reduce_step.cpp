#include "exec/steps/reduce_step.h"

#include <algorithm>
#include <limits>

#include "exec/kernels/expression/expression.h"

namespace cytodet::exec {
namespace {

struct Loop {
  int64_t size, stride;  // of elements of the input
};

class ReduceStep : public Step {
 public:
  ReduceStep(Reduction reduction, const Shape& shape, const std::vector<bool>& reduced, const StepInput& input,
             const StepOutput& output)
      : reduction_(reduction), kernels_(expression_kernels()) {
    inputs = {input.tensor};
    outputs = {output.tensor};
    info.kernel = "reduce";
    split_dimensions(shape, reduced);
    scratch_bytes = last_stays_ ? columns_ * static_cast<int64_t>(sizeof(float) + sizeof(double)) + 64 : 0;
  }

  void run(RunContext& context) const override {
    const float* in = context.in(inputs[0]);
    float* out = context.out(outputs[0]);
    const int64_t min_chunk = std::max<int64_t>(1, kMinWork / std::max<int64_t>(1, columns_ * rows_));
    for_each_chunk(context.threads, kept_, min_chunk, [&](int64_t begin, int64_t end, int thread) {
      char* scratch = context.scratch + thread * scratch_bytes;
      for (int64_t i = begin; i < end; ++i) {
        const float* from = in + offset(outer_, i);
        if (last_stays_)
          reduce_rows(from, scratch, out + i * columns_);
        else
          out[i] = reduce_elements(from);
      }
    });
  }

 private:
  static constexpr int64_t kBlock = 512, kRows = 32, kMinWork = 4096;
  static constexpr int64_t kFew = 16;  // elements of a sum that a call would cost more than

  // outer_ loops over what stays, but for a last dimension that stays (columns_); inner_ over what is reduced, but for a last
  // dimension that is reduced (columns_ too).
  void split_dimensions(const Shape& shape, const std::vector<bool>& reduced) {
    int64_t stride = 1;
    bool first = true;
    for (size_t d = shape.size(); d-- > 0;) {
      if (shape[d] == 1) continue;
      if (first) {
        last_stays_ = !reduced[d];
        columns_ = shape[d];
      } else if (stride == columns_ && reduced[d] != last_stays_ && outer_.empty() && inner_.empty()) {
        columns_ *= shape[d];
      } else {
        std::vector<Loop>& loops = reduced[d] ? inner_ : outer_;
        if (!loops.empty() && loops.back().size * loops.back().stride == stride)
          loops.back().size *= shape[d];
        else
          loops.push_back({shape[d], stride});
      }
      first = false;
      stride *= shape[d];
    }
    std::reverse(outer_.begin(), outer_.end());
    std::reverse(inner_.begin(), inner_.end());
    for (const Loop& l : outer_) kept_ *= l.size;
    for (const Loop& l : inner_) rows_ *= l.size;
    count_ = rows_ * (last_stays_ ? 1 : columns_);
  }

  static int64_t offset(const std::vector<Loop>& loops, int64_t i) {
    int64_t at = 0;
    for (size_t d = loops.size(); d-- > 0; i /= loops[d].size) at += i % loops[d].size * loops[d].stride;
    return at;
  }

  bool sums() const { return reduction_ == Reduction::sum || reduction_ == Reduction::mean; }
  double finish(double total) const { return reduction_ == Reduction::mean ? total / static_cast<double>(count_) : total; }

  float reduce_elements(const float* from) const {
    double total = 0;
    if (sums() && count_ <= kFew) {
      for (int64_t row = 0; row < rows_; ++row)
        for (const float *x = from + offset(inner_, row), *end = x + columns_; x < end; ++x) total += static_cast<double>(*x);
      return static_cast<float>(finish(total));
    }
    float extreme =
        reduction_ == Reduction::max ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
    for (int64_t row = 0; row < rows_; ++row) {
      const float* line = from + offset(inner_, row);
      for (int64_t first = 0; first < columns_; first += kBlock) {
        const int64_t n = std::min(kBlock, columns_ - first);
        if (sums())
          total += kernels_.sum(line + first, n);
        else
          extreme = reduction_ == Reduction::max ? kernels_.max_of_all(line + first, n, extreme)
                                                 : kernels_.min_of_all(line + first, n, extreme);
      }
    }
    return sums() ? static_cast<float>(finish(total)) : extreme;
  }

  void reduce_rows(const float* from, char* scratch, float* out) const {
    const auto combine = kernels_.of_two(sums()                         ? ExprOp::add
                                         : reduction_ == Reduction::max ? ExprOp::max
                                                                        : ExprOp::min,
                                         OneValue::none);
    if (!sums()) {
      std::copy_n(from + offset(inner_, 0), columns_, out);
      for (int64_t row = 1; row < rows_; ++row) combine(out, from + offset(inner_, row), out, columns_);
      return;
    }
    auto* total = reinterpret_cast<double*>(scratch);
    auto* part = reinterpret_cast<float*>(total + columns_);
    std::fill(total, total + columns_, 0.0);
    for (int64_t first = 0; first < rows_; first += kRows) {
      std::copy_n(from + offset(inner_, first), columns_, part);
      for (int64_t row = first + 1; row < std::min(first + kRows, rows_); ++row)
        combine(part, from + offset(inner_, row), part, columns_);
      for (int64_t c = 0; c < columns_; ++c) total[c] += part[c];
    }
    for (int64_t c = 0; c < columns_; ++c) out[c] = static_cast<float>(finish(total[c]));
  }

  Reduction reduction_;
  const ExpressionKernels& kernels_;
  bool last_stays_ = false;
  int64_t columns_ = 1, kept_ = 1, rows_ = 1, count_ = 1;
  std::vector<Loop> outer_, inner_;
};

}  // namespace

std::unique_ptr<Step> make_reduce(Reduction reduction, const Shape& shape, const std::vector<bool>& reduced,
                                  const StepInput& input, const StepOutput& output) {
  return std::make_unique<ReduceStep>(reduction, shape, reduced, input, output);
}

}  // namespace cytodet::exec
