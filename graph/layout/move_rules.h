// Nodes that work on dimensions in any order.
#pragma once

#include "graph/layout/permuted.h"

namespace cytodet::graph {

// A node whose inputs are seen through transposes. A rule adds what computes the same from what is there.
struct Move {
  Mover& mover;
  const Node& node;
  const std::vector<Permuted>& in;
  std::vector<Permuted> out;
};

// False: the node needs its inputs in the order that the graph states; nothing is added then.
bool moved_through(Move& move);

}  // namespace cytodet::graph
