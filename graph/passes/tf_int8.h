// Quantized convolutions as stock TensorFlow 2.15 runs them on integers:
//
//   x [-> PadV2] [-> AddV2 zero_point * scale] -> QuantizeV2 SCALED
//     -> _FusedQuantizedConv2D | _FusedQuantizedDepthwiseConv2D {BiasAdd, [Relu,] Requantize} -> Dequantize
//
// TensorFlow's convolutions take no zero point. So AddV2 shifts x above 0, and the bias subtracts zero_point * scale * sum of
// weights. The padding comes first, so that a padded 0 is shifted as well. Results without Relu are shifted too: the bias
// subtracts the lower end of their range, the quantized values are unsigned, and Dequantize MIN_COMBINED adds that end again. The
// pass raise_int8 brings the form of graph/quantized/quant_nodes.h back.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "graph/ir/op.h"
#include "graph/passes/pass.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::graph {

// By convolution: the smallest and largest value of its result (after the BiasAdd, Relu or Relu6 behind it; see conv_tail).
using OutputRanges = std::map<std::string, std::pair<float, float>>;

struct TfInt8Options {
  Interface interface;            // outputs, besides nodes that nobody reads: never fused away
  std::set<std::string> precise;  // convolutions whose result must not become 8 bits: left as they are
};

// Rewrites every quantized Conv2D and DepthwiseConv2dNative that has a range; others, and MatMul, stay in the form of
// graph/quantized/quant_nodes.h, which TensorFlow runs on floats. Names that other nodes read stay. Returns how many were
// rewritten.
int to_tensorflow_int8(Graph& graph, const OutputRanges& ranges, const TfInt8Options& options = {});

// Puts nodes behind each convolution that to_tensorflow_int8 rewrites, which round its result to 8 bits and cut it off at its
// range: the graph then computes what TensorFlow computes of the rewritten one, in the form that plans run on kernels. For
// measuring. Returns how many results are rounded.
int round_results_to_int8(Graph& graph, const OutputRanges& ranges, const TfInt8Options& options = {});

// What is fused behind a convolution: nodes that only the next one reads. -1: none.
struct ConvTail {
  NodeId bias = -1;        // BiasAdd of a constant
  NodeId activation = -1;  // Relu, Relu6
  NodeId last = -1;        // the last of them, or the convolution
};
ConvTail conv_tail(const Graph& graph, const Consumers& uses, const std::set<NodeId>& outputs, NodeId conv);

// What a zero point adds to each output channel when it is not subtracted from the quantized values: zero_point * scale * sum of
// weights.
std::vector<double> zero_point_sums(const QuantParams& quant, const QuantizedWeights& weights, int64_t channels);

// {top, bottom, left, right} that a convolution with this filter pads its NHWC input with; empty when it depends on an unknown
// size.
std::optional<std::array<int64_t, 4>> paddings_of(const Node& conv, const Shape& filter, const std::optional<Shape>& input);

}  // namespace cytodet::graph
