// Quantized convolutions in a Graph, in TensorFlow's own vocabulary:
//
//   x -> QuantizeV2(min, max) -> Dequantize -> Conv2D | DepthwiseConv2dNative | MatMul <- Dequantize(axis) <- Const qint8
//
// Sums, products, pools and resizes may read x so too. Only Const codes and ranges tell the scales; plain evals (and stock
// TensorFlow) give the meaning, exec runs the same on codes.
#pragma once

#include <optional>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// Uniform 8-bit codes of a value: x is about (code - zero_point) * scale, code = clamp(round(x / scale) + zero_point).
struct Quant {
  float scale = 1;
  int zero_point = 0;      // in 0..255 of unsigned codes; 0 for signed ones
  bool is_signed = false;  // codes -127..127 instead of 0..255
  bool operator==(const Quant&) const = default;

  // Of a range: unsigned with a zero point, exact at 0; signed (symmetric) when asked. A range that does not hold 0 is widened to
  // it; an empty or not finite one gives scale 1 (the caller decides whether that is an error).
  static Quant of_range(float low, float high, bool symmetric);
  int lowest() const { return is_signed ? -127 : 0; }
  int highest() const { return is_signed ? 127 : 255; }
  float low() const { return static_cast<float>(lowest() - zero_point) * scale; }
  float high() const { return static_cast<float>(highest() - zero_point) * scale; }
  int code(float x) const;
  float number(int code) const { return static_cast<float>(code - zero_point) * scale; }
};

// 8-bit weights: codes in -127..127, number = code * scale of its output channel.
struct QuantWeights {
  Tensor codes;               // i8, the filter's shape: HWIO; [h, w, channels, multiplier]; [in, out]
  std::vector<float> scales;  // one per output channel (depthwise: channels * multiplier); one alone: per tensor
};

// CPUs without 32-bit dot products of bytes are fastest where four products of codes may be summed in 16 bits. A dense filter,
// [k, channels] of its codes, is narrow when that is exact: of rows 8i, 8i + 1, 8i + 4, 8i + 5, and of 8i + 2, 8i + 3, 8i + 6, 8i
// + 7, neither the positive nor the negative codes of a channel sum to more than kNarrowSum in magnitude.
constexpr int kNarrowRows = 8, kNarrowSum = 32767 / 255;
bool is_narrow(const Tensor& codes, int64_t channels);

struct CodeLimits {
  int largest = 127;    // magnitude
  bool narrow = false;  // rounding to codes that sum to more moves them by one
};
// Symmetric codes of a float filter by rounding, with the smallest scales whose codes keep to the limits; per_channel as above. A
// channel of zeros has scale 1.
// channel = element index % channels for every kind of filter (output channels lie innermost; depthwise: the last two axes).
QuantWeights quantize_weights(const Tensor& filter, int64_t channels, bool per_channel, const CodeLimits& limits = {});
// The float filter that the codes stand for, of the codes' shape.
Tensor dequantize_weights(const QuantWeights& weights);

// A value that is QuantizeV2 and then Dequantize of another, with one constant range.
struct CodedValue {
  Value input;
  Quant quant;
};
std::optional<CodedValue> coded_value(const Graph& graph, Value number);
// The numbers of the codes of `input`: those that the graph has, or new nodes, "<producer>/quantized" and
// "<producer>/dequantized".
Value add_coded(Graph& graph, Value input, const Quant& quant);

struct QuantConv {
  Value input;  // the float value before QuantizeV2
  Quant quant;
  QuantWeights weights;
};
// Puts the codes of `quant` between `input` and conv's first input, and `weights` in place of its second. Nodes are named
// "<conv>/filter_codes", "<conv>/filter", and as of add_coded. conv: Conv2D, DepthwiseConv2dNative, MatMul (without transpose_b).
void set_quantized(Graph& graph, NodeId conv, const Quant& quant, const QuantWeights& weights);
// Reads what set_quantized wrote (or an equal form from elsewhere); empty when the conv is not quantized.
std::optional<QuantConv> quantized(const Graph& graph, NodeId conv);
// The same question without a copy of the weights.
bool is_quantized(const Graph& graph, NodeId conv);
// True when any conv is.
bool has_quantized(const Graph& graph);

}  // namespace cytodet::graph
