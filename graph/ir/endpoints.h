// The feeds and fetches of a graph: the nodes at which values enter and leave it.
#pragma once

#include <string>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// What the caller promises to feed and to fetch: passes keep these names and meanings.
struct Interface {
  std::vector<std::string> inputs;   // node names; empty: every Placeholder
  std::vector<std::string> outputs;  // node names; empty: every node nobody consumes (see find_outputs)
};

// Nodes that nobody consumes, no Const, Assign, NoOp or Placeholder; ends inside loops and branches only if there are no others.
// In the order of Graph::output_order, then in that of the nodes.
std::vector<std::string> find_outputs(const Graph& graph);
std::vector<std::string> find_inputs(const Graph& graph);  // Placeholders

}  // namespace cytodet::graph
