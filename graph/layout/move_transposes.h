// Maps [n, c, h, w] become [n, h, w, c]: transposes are moved through the nodes behind them until they meet their opposites.
#pragma once

#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// A graph that computes the same, with the names of its Placeholders, and of `outputs` (nodes that nobody reads), which are what
// is kept. Constants behind a moved transpose are transposed instead, weights of a product behind a flattened map get their rows
// in the map's new order. A transpose stays where a node needs the order that the graph states: at inputs and outputs, and before
// ops that the move is not known through.
Graph move_transposes(const Graph& graph, const std::vector<NodeId>& outputs);

}  // namespace cytodet::graph
