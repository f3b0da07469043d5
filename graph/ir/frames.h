// In which loop every node runs, and on which conditions: TensorFlow's rules for Switch, Merge, Enter, Exit and NextIteration. A
// rewriting keeps both, or TensorFlow refuses the graph ("inputs from different frames") or gives another answer.
#pragma once

#include <string>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// True for Switch, Merge, Enter, Exit, NextIteration, LoopCond and their forms for references.
bool is_control_flow_op(const std::string& op);
// What reads one of its ways does so through an Identity: TensorFlow's optimizer mistakes the way for the first where a sum reads
// it twice, and control edges cannot name it.
bool is_switch(const Node& n);
// Whether `reader` takes `read` from the iteration before.
inline bool is_back_edge(const Node& reader, const Node& read) { return reader.op == "Merge" && read.op == "NextIteration"; }

class Frames {
 public:
  // One condition that must hold for a node to run: the Switches of `condition` let output `way` live.
  struct Guard {
    Value condition;
    int way = 0;
    auto operator<=>(const Guard&) const = default;
  };
  using Guards = std::vector<Guard>;  // sorted; all must hold

  // Never throws on a graph whose order exists; what is wrong with its loops is in problem(). A snapshot, rebuilt after
  // rewriting; of nodes added since nothing is known (frame 0, no guards).
  explicit Frames(const Graph& graph);

  // No loops, no conditions: every node runs once.
  bool trivial() const { return trivial_; }
  // The loop in which the outputs of a node are seen; 0: none.
  int frame(NodeId id) const { return knows(id) ? nodes_[static_cast<size_t>(id)].frame : 0; }
  bool is_inside(NodeId id) const { return frame(id) != 0 || !guards(id).empty(); }
  const Guards& guards(NodeId id) const;
  Guards guards(Value v) const;  // of one output: a Switch's two differ
  // Whether a value lives in the same loop and on the same conditions as a node runs.
  bool agree(Value v, NodeId id) const { return frame(v.node) == frame(id) && guards(v) == guards(id); }
  bool agree(Value a, Value b) const { return frame(a.node) == frame(b.node) && guards(a) == guards(b); }
  // The first thing that TensorFlow would refuse, or a Merge with two inputs that live at once; empty when all is well.
  const std::string& problem() const { return problem_; }

 private:
  struct Place {
    int frame = 0;
    int guards = 0;  // index into sets_
    bool placed = false;
  };
  struct Frame {
    int parent = 0;
    std::string name;
  };
  bool knows(NodeId id) const { return !trivial_ && id >= 0 && static_cast<size_t>(id) < nodes_.size(); }
  Value source_of(Value condition) const;
  Guards added(const Guards& guards, Guard more) const;
  int keep(Guards guards);
  void place(NodeId id);
  void enter(NodeId id, Place& p, Guards& all);
  void exit(NodeId id, Place& p, Guards& all);
  Guards merged(NodeId id);
  void complain(NodeId id, const std::string& problem);

  const Graph& graph_;
  bool trivial_ = true;
  std::vector<Place> nodes_;
  std::vector<Frame> frames_{{}};
  std::vector<Guards> sets_{{}};
  std::map<Guards, int> index_{{{}, 0}};
  std::string problem_;
};

// A node that runs exactly where and when `v` lives, for control edges; -1 when that is always and outside of loops. May add an
// Identity behind a Switch. It is v's node or one before it, so that no cycle arises in front of v's readers.
NodeId anchor_of(Graph& graph, const Frames& frames, Value v);

}  // namespace cytodet::graph
