// Whether a graph can be run as it is given: its feeds fit, and it is frozen.
#pragma once

#include "graph/ir/graph.h"

namespace cytodet::graph {

// Throws Error naming the node and both shapes (or types) when it is a Placeholder of another type, rank or size. Graphs of
// before TensorFlow 1.2 wrote [] for a shape that they did not know: as a Placeholder's shape it allows all.
void check_feed(const Graph& graph, Value value, const Tensor& tensor);

// Name of a node that holds or reads a variable, which a frozen graph has none of; empty: there is none.
std::string first_variable(const Graph& graph);
// Throws Error when the outputs ("name" or "name:slot") need one, with what to do.
void require_frozen(const Graph& graph, const std::vector<std::string>& outputs);

}  // namespace cytodet::graph
