// The convolution steps on own kernels. All tensors NHWC; shapes in ConvShape.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "exec/step.h"
#include "graph/quantized.h"

namespace cytodet {

struct ConvShape {
  int64_t batch = 1, in_h = 1, in_w = 1, in_c = 1;
  int64_t out_h = 1, out_w = 1, out_c = 1;
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;

  bool pointwise() const {
    return kernel_h == 1 && kernel_w == 1 && stride_h == 1 && stride_w == 1 && !pad_top && !pad_left && !pad_bottom && !pad_right;
  }
  int64_t taps() const { return int64_t{kernel_h} * kernel_w; }
};

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
};

// One term of a weighted sum: a map that is `repeat` times smaller in height and width (nearest upsampling).
struct SumTerm {
  int tensor = -1;
  float weight = 1;
  int repeat = 1;
};

// How a map's numbers become codes: the channels multiplied by `factors` (empty: 1) first.
struct Coding {
  Quant quant;
  std::vector<float> factors;
  bool operator==(const Coding&) const = default;
};

struct ConvIo {
  int input = -1, output = -1;
  int gate = -1;      // [batch,1,1,in_c] multiplies the input per channel; -1: none
  int residual = -1;  // same shape as the output; -1: none
  bool residual_first = false;
  int pooled = -1;               // depthwise: gets the mean of the output over height and width; -1: none
  std::optional<Coding> coding;  // the output is stored as codes
  bool halves = false;           // as halves
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

// act(sum of terms), all the same shape after upsampling: kernel "weighted_sum".
std::unique_ptr<Step> make_weighted_sum(const Shape& shape, const std::vector<SumTerm>& terms, Act act, int output);

// act(x): kernel "activation".
std::unique_ptr<Step> make_activation(Act act, int input, int output);

}  // namespace cytodet
