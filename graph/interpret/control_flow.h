// Running graphs with conditions (Switch, Merge), while loops (Enter, NextIteration, Exit) and tensor arrays.
#pragma once

#include "graph/ir/op.h"

namespace cytodet::graph {

// True when one of the nodes is such an op.
bool has_control_flow(const Graph& graph, const std::vector<NodeId>& nodes);
// True when one of them is a while loop's.
bool has_loop(const Graph& graph, const std::vector<NodeId>& nodes);

// As interpret(), for `nodes`: all that the fetches need. A fetch on a branch that is not taken is an Error.
std::vector<Tensor> run_control_flow(const Graph& graph, const std::vector<NodeId>& nodes, const Feeds& feeds,
                                     const std::vector<Value>& fetches, const Evaluator& evaluator = evaluate);

}  // namespace cytodet::graph
