// A graph with loops and conditions cut into parts that run one after another:
//
//   image_tensor ─▶ [loop: resize] ─▶ [network] ─▶ [loop: suppression] ─▶ detections
//                    interpreted       compiled      interpreted
//
// A loop, with all that it runs, is one part, as is a condition; nodes between them make parts that can be compiled.
#pragma once

#include <vector>

#include "graph/ir/op.h"

namespace cytodet::exec {

struct Part {
  bool interpreted = false;
  std::vector<Value> inputs;                           // values of other parts, and inputs of the graph; constants are copied
  std::vector<Value> outputs;                          // what other parts read, and what is wanted
  Graph graph;                                         // the part alone: inputs are Placeholders
  std::vector<std::string> input_names, output_names;  // in `graph`
  bool has_layers = false;                             // convolutions or matrix products
};

// The nodes that `wanted` needs, when `fed` values are given; a fed value ends the way back.
std::vector<NodeId> needed_nodes(const Graph& graph, const std::vector<Value>& fed, const std::vector<Value>& wanted);

// In the order in which they run. A node runs in one part; each part is as large as the order allows.
std::vector<Part> partition(const Graph& graph, const std::vector<Value>& fed, const std::vector<Value>& wanted);

}  // namespace cytodet::exec
