// 8-bit weights in a Graph.
#pragma once

#include <string>

#include "graph/quantized/quant_nodes.h"

namespace cytodet::graph {

// Dequantize of the values, as the second input of a layer `name` of this op (Conv2D, DepthwiseConv2dNative or MatMul) reads it:
// new nodes "<name>/filter_codes" and "<name>/filter".
Value add_quantized_filter(Graph& graph, const std::string& name, const std::string& op, const QuantizedWeights& weights);

}  // namespace cytodet::graph
