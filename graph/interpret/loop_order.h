// In which loop each node of a graph runs, and in which order the nodes of one iteration run.
#pragma once

#include <set>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

inline size_t at(int i) { return static_cast<size_t>(i); }  // a number as an index

struct LoopOrder {
  // The root (frame 0) or a loop. An Enter belongs to the loop it leads into, an Exit to the frame around its loop.
  struct Frame {
    int parent = -1, depth = 0;
    std::string name;
    std::vector<NodeId> order;  // inputs before consumers, back edges left out; an Exit after all that its loop reads
    std::vector<NodeId> exits;  // out of this loop
  };
  std::vector<Frame> frames;  // a parent before its loops
  std::vector<int> frame_of;  // by node; -1: it does not run
  std::vector<int> loop_of;   // by node: the loop that an Exit leaves; -1: it is none

  int frame(NodeId id) const { return frame_of[static_cast<size_t>(id)]; }
};

// The order in which `nodes` run when the values of `fed` are given. Throws Error on an Exit outside of a loop, on loops nested
// more than 64 deep, and where a loop depends on its own results.
LoopOrder order_loops(const Graph& graph, const std::vector<NodeId>& nodes, const std::set<Value>& fed);

}  // namespace cytodet::graph
