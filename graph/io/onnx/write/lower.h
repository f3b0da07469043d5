// A graph of TensorFlow's ops on its way to ONNX: what works on maps becomes ONNX's own operators, channels first.
#pragma once

#include <set>

#include "graph/io/builder.h"

namespace cytodet::graph::onnx {

bool is_lowered(const std::string& op);  // whether something else is made of such nodes
// What outputs are computed of, and all Placeholders.
std::set<NodeId> needed_nodes(const Graph& graph, const std::vector<std::string>& outputs);

// Convolutions, pools, resizes and so on become nodes "onnx:Conv" between transposes, which are then moved (layout.h); quantized
// values "onnx:QuantizeLinear" -> "onnx:DequantizeLinear". The rest stays. `outputs`: names of nodes or "name:slot"; each becomes
// a node of its own that nobody reads. `known`: shapes of inputs, where the graph leaves them open. Throws Error with the node.
Graph lower(const Graph& graph, const std::vector<std::string>& outputs, const std::map<Value, Fact>& known);

}  // namespace cytodet::graph::onnx
