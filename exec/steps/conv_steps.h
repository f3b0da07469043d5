// The convolution steps on own kernels. All tensors NHWC; shapes in ConvShape.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "exec/steps/row_steps.h"

namespace cytodet::exec {

// Dense convolution: weights HWIO, bias per output channel.
struct DenseConv {
  ConvShape shape;
  Tensor weights;
  std::vector<float> bias;
  Act act = Act::none;
  std::optional<QuantConv> quant;  // the input becomes codes first; `weights` are then the numbers of the codes
  std::vector<float> factors;      // multiply the input's channels before they are coded; empty: 1
  bool bf16 = false;               // else, products of bfloat16 numbers; of kernel sets that have them
};

// Depthwise convolution, multiplier 1: weights [kernel_h, kernel_w, channels, 1].
struct DepthwiseConv {
  ConvShape shape;
  Tensor weights;
  std::vector<float> bias;
  Act act = Act::none;
  std::optional<QuantConv> quant;  // these as of DenseConv
  std::vector<float> factors;
  bool bf16 = false;  // in floats, between layers on bfloat16 numbers: activations are coarse_act's, maps may be bfloat16 numbers
};

struct ConvIo {
  int input = -1;
  StepOutput output;
  int gate = -1;                      // [batch,1,1,in_c] multiplies the input per channel; -1: none
  std::optional<StepInput> residual;  // same shape as the output
  bool residual_first = false;
  int pooled = -1;  // depthwise: gets the mean of the output over height and width; -1: none
};

// act(conv(input * gate) + bias) + residual; kernel "gemm" when pointwise, else "patches_gemm"; on codes "int8_gemm",
// "int8_patches_gemm", on bfloat16 numbers "bf16_gemm", "bf16_patches_gemm".
std::unique_ptr<Step> make_dense_conv(const DenseConv& conv, const ConvIo& io);

// weighted sum (or a copy of `input` when terms is empty) -> depthwise -> optional pointwise, worked in bands of rows:
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
