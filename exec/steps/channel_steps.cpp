#include "exec/steps/channel_steps.h"

#include <algorithm>

#include "exec/kernels/expression/expression.h"

namespace cytodet::exec {
namespace {

class ResponseNormStep : public Step {
 public:
  ResponseNormStep(const ResponseNorm& norm, const StepInput& input, const StepOutput& output)
      : norm_(norm), kernels_(expression_kernels()) {
    inputs = {input.tensor};
    outputs = {output.tensor};
    info.kernel = "lrn";
    block_ = std::clamp<int64_t>(kBlock / norm.channels, 1, norm.pixels);
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    const float* in = context.in(inputs[0]);
    float* out = context.out(outputs[0]);
    for_each_chunk(context.threads, (norm_.pixels + block_ - 1) / block_, 1, [&](int64_t begin, int64_t end, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      std::fill(ws.squares, ws.squares + norm_.channels + 2 * norm_.radius, 0.0f);
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b * block_, pixels = std::min(block_, norm_.pixels - first);
        normalize(in + first * norm_.channels, pixels, ws, out + first * norm_.channels);
      }
    });
  }

 private:
  static constexpr int64_t kBlock = 512;  // floats

  struct Workspace {
    float *squares, *sums;  // of a pixel, with `radius` zeros around it; of a block
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    float* squares = alloc.floats(norm_.channels + 2 * norm_.radius);
    return {squares, alloc.floats(block_ * norm_.channels)};
  }

  void normalize(const float* in, int64_t pixels, const Workspace& ws, float* out) const {
    const auto add = kernels_.of_two(ExprOp::add, OneValue::none);
    for (int64_t p = 0; p < pixels; ++p) {
      kernels_.of_one(ExprOp::square)(in + p * norm_.channels, ws.squares + norm_.radius, norm_.channels);
      float* sum = ws.sums + p * norm_.channels;
      std::copy_n(ws.squares, norm_.channels, sum);
      for (int64_t j = 1; j <= 2 * norm_.radius; ++j) add(sum, ws.squares + j, sum, norm_.channels);
    }
    const int64_t n = pixels * norm_.channels;
    kernels_.of_two(ExprOp::mul, OneValue::right)(ws.sums, &norm_.alpha, ws.sums, n);
    kernels_.of_two(ExprOp::add, OneValue::right)(ws.sums, &norm_.bias, ws.sums, n);
    const float exponent = -norm_.beta;
    kernels_.of_two(ExprOp::power, OneValue::right)(ws.sums, &exponent, ws.sums, n);
    kernels_.of_two(ExprOp::mul, OneValue::none)(in, ws.sums, out, n);
  }

  ResponseNorm norm_;
  const ExpressionKernels& kernels_;
  int64_t block_ = 1;
};

class SoftmaxStep : public Step {
 public:
  SoftmaxStep(int64_t pixels, int64_t channels, const StepInput& input, const StepOutput& output)
      : pixels_(pixels), channels_(channels), softmax_(expression_kernels().softmax) {
    inputs = {input.tensor};
    outputs = {output.tensor};
    info.kernel = "softmax";
  }

  void run(RunContext& context) const override {
    const float* in = context.in(inputs[0]);
    float* out = context.out(outputs[0]);
    const int64_t min_chunk = std::max<int64_t>(1, 2048 / channels_);
    for_each_chunk(context.threads, pixels_, min_chunk, [&](int64_t begin, int64_t end, int) {
      softmax_(in + begin * channels_, out + begin * channels_, end - begin, channels_);
    });
  }

 private:
  int64_t pixels_, channels_;
  void (*softmax_)(const float*, float*, int64_t, int64_t);
};

class ArgExtremeStep : public Step {
 public:
  ArgExtremeStep(int64_t pixels, int64_t channels, bool largest, DType type, const StepInput& input, const StepOutput& output)
      : pixels_(pixels), channels_(channels), largest_(largest), type_(type) {
    inputs = {input.tensor};
    outputs = {output.tensor};
    info.kernel = "arg_extreme";
  }

  void run(RunContext& context) const override {
    const float* in = context.in(inputs[0]);
    Tensor& out = context.tensors[static_cast<size_t>(outputs[0])];
    const int64_t min_chunk = std::max<int64_t>(1, 4096 / channels_);
    for_each_chunk(context.threads, pixels_, min_chunk, [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t at = find(in + p * channels_);
        if (type_ == DType::i32)
          out.data<int32_t>()[p] = static_cast<int32_t>(at);
        else
          out.data<int64_t>()[p] = at;
      }
    });
  }

 private:
  int64_t find(const float* x) const {
    int64_t at = 0;
    for (int64_t c = 1; c < channels_; ++c)
      if (largest_ ? x[c] > x[at] : x[c] < x[at]) at = c;
    return at;
  }

  int64_t pixels_, channels_;
  bool largest_;
  DType type_;
};

}  // namespace

std::unique_ptr<Step> make_response_norm(const ResponseNorm& norm, const StepInput& input, const StepOutput& output) {
  return std::make_unique<ResponseNormStep>(norm, input, output);
}

std::unique_ptr<Step> make_softmax(int64_t pixels, int64_t channels, const StepInput& input, const StepOutput& output) {
  return std::make_unique<SoftmaxStep>(pixels, channels, input, output);
}

std::unique_ptr<Step> make_arg_extreme(int64_t pixels, int64_t channels, bool largest, DType type, const StepInput& input,
                                       const StepOutput& output) {
  return std::make_unique<ArgExtremeStep>(pixels, channels, largest, type, input, output);
}

}  // namespace cytodet::exec
