// Whether nodes belong to conditions (Switch, Merge), while loops (Enter, NextIteration, Exit), tensor arrays or tensor lists.
#pragma once

#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// True when one of the nodes is such an op.
bool has_control_flow(const Graph& graph, const std::vector<NodeId>& nodes);

}  // namespace cytodet::graph
