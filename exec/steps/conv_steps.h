// The convolution steps on own kernels. All tensors NHWC; shapes in ConvShape.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "exec/steps/row_steps.h"

namespace cytodet::exec {

// Dense convolution: weights [kernel_h, kernel_w, in_c, out_c] (HWIO), bias per output channel (empty: none).
struct DenseConv {
  ConvShape shape;
  Tensor weights;
  std::vector<float> bias;
  Act act = Act::none;
  std::optional<QuantizedConv> quant;  // computed in 8 bits: the input is quantized first; `weights` are its dequantized weights
  std::vector<float> factors;          // multiply the input's channels before they are quantized; empty: 1
  bool bf16 = false;                   // without `quant`: products of bf16 values, in kernel sets that have them
  bool open_rows = false;              // a matrix product of rows whose number is known only when it runs; `shape` has one
};

constexpr int64_t kMaxDepthwiseRows = 64;  // of the window of a depthwise convolution

// Depthwise convolution, multiplier 1: weights [kernel_h, kernel_w, channels, 1].
struct DepthwiseConv {
  ConvShape shape;
  Tensor weights;
  std::vector<float> bias;
  Act act = Act::none;
  std::optional<QuantizedConv> quant;  // quant and factors: as of DenseConv
  std::vector<float> factors;
  bool bf16 = false;  // computed in float between bf16 layers: activations are approximate (approximate_act), maps may be bf16
};

struct ConvIo {
  int input = -1;
  StepOutput output;
  int gate = -1;                      // [batch, 1, 1, in_c] multiplies the input per channel; -1: none
  std::optional<StepInput> residual;  // of the output's shape, added
  bool residual_first = false;        // before the activation
  int pooled = -1;                    // depthwise: gets the output's mean over height and width; -1: none
};

// act(conv(input * gate) + bias) + residual; kernel "gemm" when pointwise, else "patches_gemm"; in 8 bits "int8_gemm",
// "int8_patches_gemm", on bf16 "bf16_gemm", "bf16_patches_gemm".
std::unique_ptr<Step> make_dense_conv(const DenseConv& conv, const ConvIo& io);

// weighted sum (or `input` itself when terms is empty) -> depthwise -> optional pointwise, worked in bands of rows:
// kernels "depthwise", "depthwise_pointwise", "sum_depthwise_pointwise", "sum_depthwise".
struct DepthwiseChain {
  std::vector<SumTerm> terms;
  Act terms_act = Act::none;
  DepthwiseConv depthwise;
  std::unique_ptr<DenseConv> pointwise;
};
std::unique_ptr<Step> make_depthwise_chain(const DepthwiseChain& chain, const ConvIo& io);

// dense conv -> depthwise, the expanded map never leaving the cache: kernel "expand_depthwise".
std::unique_ptr<Step> make_expand_depthwise(const DenseConv& expand, const DepthwiseConv& depthwise, const ConvIo& io);

}  // namespace cytodet::exec
