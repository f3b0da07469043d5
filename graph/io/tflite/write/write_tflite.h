// Graphs as TensorFlow Lite models.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "graph/ir/op.h"

namespace cytodet::graph {

// as_is: in float, but for layers that the graph has in 8 bits (graph/quantized/quant_nodes.h) between values that are 8-bit,
// too. weights: large filters as int8. float16: constants. int8: all that has a range, between floats; full_*: inputs and
// outputs, too.
enum class LiteMode { as_is, weights, float16, int8, full_int8, full_uint8 };

struct LiteOptions {
  LiteMode mode = LiteMode::as_is;
  std::map<std::string, Shape> shapes;                    // of inputs that the graph leaves open; an open batch is 1
  std::map<std::string, std::pair<float, float>> ranges;  // of floats, by "node" or "node:slot"
};

// An optimized graph; `outputs`: nodes or "node:slot". Inputs and outputs keep their names. Throws Error: ops that have no form
// in TensorFlow Lite (all of them, with a node each), sizes that are not fixed.
std::string encode_tflite(const Graph& graph, const std::vector<std::string>& outputs, const LiteOptions& options = {});

}  // namespace cytodet::graph
