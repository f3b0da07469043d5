// 8-bit quantization in a Graph, in TensorFlow's own vocabulary. A quantized convolution is
//
//   x -> QuantizeV2(min, max) -> Dequantize -> Conv2D | DepthwiseConv2dNative | MatMul <- Dequantize(axis) <- Const qint8
//
// Sums, products, pools and resizes may read x fake-quantized too (QuantizeV2 -> Dequantize). Only Const values and ranges decide
// the scales; plain evals (and stock TensorFlow) give the meaning, exec computes the same in 8 bits.
#pragma once

#include <optional>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// Uniform 8-bit quantization of a tensor: q = clamp(round(x / scale) + zero_point, qmin, qmax), x is about (q - zero_point) *
// scale.
struct QuantParams {
  float scale = 1;
  int zero_point = 0;      // in 0..255 of unsigned values; 0 of signed ones
  bool is_signed = false;  // q in -127..127 instead of 0..255
  bool operator==(const QuantParams&) const = default;

  // The parameters of the range [low, high]: unsigned with a zero point, exact at 0; or signed with zero point 0 (symmetric). A
  // range that does not hold 0 is widened to it; an empty or not finite one gives scale 1 (the caller decides whether that is an
  // error).
  static QuantParams of_range(float low, float high, bool symmetric);
  int qmin() const { return is_signed ? -127 : 0; }
  int qmax() const { return is_signed ? 127 : 255; }
  float low() const { return dequantize(qmin()); }
  float high() const { return dequantize(qmax()); }
  int quantize(float x) const;
  float dequantize(int q) const { return static_cast<float>(q - zero_point) * scale; }
};

// 8-bit weights: values in -127..127, or -128 in files of others; weight = value * scale of its output channel.
struct QuantizedWeights {
  Tensor values;              // i8, the filter's shape: HWIO; [h, w, channels, multiplier]; [in, out]
  std::vector<float> scales;  // one per output channel (depthwise: channels * multiplier); one alone: per tensor
  float scale_of(size_t channel) const { return scales[scales.size() == 1 ? 0 : channel]; }
};

// CPUs that do not sum products of four bytes in 32 bits (VNNI) are fastest where four products may be summed in 16 bits without
// saturation. A dense filter, [k, channels] of its values, is 16-bit safe when that is exact: of its rows 8i, 8i + 1, 8i + 4,
// 8i + 5, and of 8i + 2, 8i + 3, 8i + 6, 8i + 7, neither the positive nor the negative values of a channel sum to more than
// kMax16BitSafeSum in magnitude (input values are at most 255).
constexpr int k16BitSafeRows = 8, kMax16BitSafeSum = 32767 / 255;
bool is_16bit_safe(const Tensor& values, int64_t channels);

struct WeightLimits {
  int max_abs = 127;
  bool safe_16bit = false;  // values whose sums are too large for is_16bit_safe are moved by one towards zero
};
// Symmetric quantization of a float filter, with the smallest scales whose values keep to the limits. per_channel: a scale for
// each output channel, else one for all. A channel of zeros has scale 1. channel = element index % channels for every kind of
// filter (output channels lie innermost; depthwise: the last two axes).
QuantizedWeights quantize_weights(const Tensor& filter, int64_t channels, bool per_channel, const WeightLimits& limits = {});
// The float filter that the values stand for, of the same shape.
Tensor dequantize_weights(const QuantizedWeights& weights);

// What a Dequantize of a QuantizeV2 with one constant range reads, and how it is quantized.
struct FakeQuantValue {
  Value input;
  QuantParams quant;
};
std::optional<FakeQuantValue> fake_quant_value(const Graph& graph, Value dequantized);
// The value `input` quantized and dequantized: one that the graph has already, or new nodes "<producer>/quantized" and
// "<producer>/dequantized".
Value add_fake_quant(Graph& graph, Value input, const QuantParams& quant);
Value new_fake_quant(Graph& graph, Value input, const QuantParams& quant);  // always new nodes; the graph is not searched

struct QuantizedConv {
  Value input;  // the float value before QuantizeV2
  QuantParams quant;
  QuantizedWeights weights;
};
// Makes conv (Conv2D, DepthwiseConv2dNative or MatMul without transpose_b) a quantized convolution: its first input
// fake-quantized, `weights` in place of its second. Nodes are named "<conv>/filter_codes", "<conv>/filter", and as of
// add_fake_quant.
void set_quantized(Graph& graph, NodeId conv, const QuantParams& quant, const QuantizedWeights& weights);
// Reads what set_quantized wrote (or an equal pattern from elsewhere); empty when the conv is not quantized.
std::optional<QuantizedConv> quantized_conv(const Graph& graph, NodeId conv);
// Whether quantized_conv is not empty, without a copy of the weights.
bool is_quantized(const Graph& graph, NodeId conv);
// True when any conv is.
bool has_quantized(const Graph& graph);

}  // namespace cytodet::graph
