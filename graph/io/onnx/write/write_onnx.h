// Graphs as ONNX models.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/ir/op.h"

namespace cytodet::graph {

constexpr int64_t kWrittenOpset = 17;

// Bytes of an .onnx file, IR version 8. The graph: after the passes, without calls of functions. `outputs`: nodes or "name:slot";
// inputs are its Placeholders. Inputs and outputs keep their order of dimensions; between, maps are channels first. Quantized
// values become QuantizeLinear -> DequantizeLinear (uint8), filters int8 with a scale for each output channel. Throws Error with
// the node: an op that is not written, sizes that must be known and are not.
std::string encode_onnx(const Graph& graph, const std::vector<std::string>& outputs);

}  // namespace cytodet::graph
