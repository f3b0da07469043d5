#include "exec/steps/copy_step.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace cytodet::exec {
namespace {

// The distance between neighbours where all are equal and none is kFill; 0 of one element; kFill otherwise.
int64_t even_step(const std::vector<int64_t>& offsets) {
  if (std::count(offsets.begin(), offsets.end(), kFill) > 0) return kFill;
  if (offsets.size() < 2) return 0;
  const int64_t step = offsets[1] - offsets[0];
  for (size_t i = 1; i < offsets.size(); ++i)
    if (offsets[i] - offsets[i - 1] != step) return kFill;
  return step > 0 ? step : kFill;
}

// Dimensions of one element are gone, and those are one over which the copy moves evenly.
Copy joined(const Copy& copy) {
  Copy out{{}, copy.first, copy.fill};
  for (std::vector<int64_t> dim : copy.offsets) {
    if (even_step(dim) > 0) {
      const int64_t begin = dim[0];
      out.first += begin;
      for (int64_t& offset : dim) offset -= begin;
    }
    if (dim.size() == 1 && dim[0] != kFill) {
      out.first += dim[0];
      continue;
    }
    const int64_t step = even_step(dim);
    const bool joins =
        !out.offsets.empty() && step > 0 && even_step(out.offsets.back()) == step * static_cast<int64_t>(dim.size());
    if (!joins) {
      out.offsets.push_back(dim);
      continue;
    }
    std::vector<int64_t> both;
    for (int64_t outer : out.offsets.back())
      for (int64_t inner : dim) both.push_back(outer + inner);
    out.offsets.back() = std::move(both);
  }
  while (out.offsets.size() < 2) out.offsets.insert(out.offsets.begin(), {0});
  return out;
}

class CopyStep : public Step {
 public:
  CopyStep(const Copy& copy, const StepInput& input, const StepOutput& output) : copy_(joined(copy)) {
    inputs = {input.tensor};
    outputs = {output.tensor};
    info.kernel = "copy";
    columns_ = static_cast<int64_t>(copy_.offsets.back().size());
    for (size_t d = 0; d + 1 < copy_.offsets.size(); ++d) rows_ *= static_cast<int64_t>(copy_.offsets[d].size());
    find_runs();
    // A transposition: neighbours of the result's rows are neighbours in the input.
    const std::vector<int64_t>& before = copy_.offsets[copy_.offsets.size() - 2];
    transposes_ = runs_.size() == 1 && runs_[0].step > 1 && even_step(before) == 1;
    if (output.quant) zero_ = static_cast<uint8_t>(output.quant->quant.zero_point - output.quant->quant.qmin());
  }

  void run(RunContext& context) const override {
    const auto in = static_cast<size_t>(inputs[0]), out = static_cast<size_t>(outputs[0]);
    if (context.tensors[out].dtype() == DType::u8)
      move(context, std::as_const(context.tensors[in]).data<uint8_t>(), zero_, context.tensors[out].data<uint8_t>());
    else
      move(context, std::as_const(context.tensors[in]).data<float>(), copy_.fill, context.tensors[out].data<float>());
  }

 private:
  template <class T>
  void move(RunContext& context, const T* in, T fill, T* out) const {
    in += copy_.first;
    if (transposes_) return transpose(context, in, fill, out);
    for_each_chunk(context.threads, rows_, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t offset = offset_of(row);
        if (offset == kFill)
          std::fill(out + row * columns_, out + (row + 1) * columns_, fill);
        else
          copy_row(in + offset, fill, out + row * columns_);
      }
    });
  }

  // A part of a row: evenly spaced elements, or ones to fill.
  struct Run {
    int64_t count, offset, step;
  };

  void find_runs() {
    const std::vector<int64_t>& last = copy_.offsets.back();
    for (size_t i = 0; i < last.size();) {
      size_t end = i + 1;
      int64_t step = 0;
      if (last[i] == kFill) {
        while (end < last.size() && last[end] == kFill) ++end;
      } else if (end < last.size() && last[end] != kFill) {
        step = last[end] - last[i];
        while (end < last.size() && last[end] != kFill && last[end] - last[end - 1] == step) ++end;
      }
      runs_.push_back({static_cast<int64_t>(end - i), last[i], step});
      i = end;
    }
  }

  int64_t offset_of(int64_t row) const {
    int64_t offset = 0;
    for (size_t d = copy_.offsets.size() - 1; d-- > 0;) {
      const auto size = static_cast<int64_t>(copy_.offsets[d].size());
      const int64_t part = copy_.offsets[d][static_cast<size_t>(row % size)];
      if (part == kFill) return kFill;
      offset += part;
      row /= size;
    }
    return offset;
  }

  template <class T>
  void copy_row(const T* in, T fill, T* out) const {
    for (const Run& run : runs_) {
      if (run.offset == kFill)
        std::fill(out, out + run.count, fill);
      else if (run.step == 1)
        std::memcpy(out, in + run.offset, static_cast<size_t>(run.count) * sizeof(T));
      else
        for (int64_t i = 0; i < run.count; ++i) out[i] = in[run.offset + i * run.step];
      out += run.count;
    }
  }

  // Squares of rows and columns at a time, so that a line of the cache is read once.
  template <class T>
  void transpose(RunContext& context, const T* in, T fill, T* out) const {
    constexpr int64_t kSide = 16;
    const auto group = static_cast<int64_t>(copy_.offsets[copy_.offsets.size() - 2].size());
    const int64_t blocks = (group + kSide - 1) / kSide, step = runs_[0].step;
    for_each_chunk(context.threads, rows_ / group * blocks, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t row = b / blocks * group + b % blocks * kSide, count = std::min(kSide, group - b % blocks * kSide);
        const int64_t offset = offset_of(row);
        if (offset == kFill) {
          std::fill(out + row * columns_, out + (row + count) * columns_, fill);
          continue;
        }
        const T* from = in + offset + runs_[0].offset;
        for (int64_t first = 0; first < columns_; first += kSide)
          for (int64_t r = 0; r < count; ++r)
            for (int64_t c = first; c < std::min(first + kSide, columns_); ++c)
              out[(row + r) * columns_ + c] = from[c * step + r];
      }
    });
  }

  Copy copy_;
  uint8_t zero_ = 0;  // the byte of the number 0
  int64_t rows_ = 1, columns_ = 1;
  std::vector<Run> runs_;
  bool transposes_ = false;
};

}  // namespace

std::unique_ptr<Step> make_copy(const Copy& copy, const StepInput& input, const StepOutput& output) {
  return std::make_unique<CopyStep>(copy, input, output);
}

}  // namespace cytodet::exec
