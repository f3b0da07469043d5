// Whether two graphs mean one thing.
#pragma once

#include <string>

#include "graph/ir/graph.h"

namespace cytodet::quant {

// Hash of a graph's meaning: ops, names, attributes, constants, edges of the nodes that the outputs need; not the order in the
// file.
std::string graph_hash(const Graph& graph);

}  // namespace cytodet::quant
