#include "graph/io/onnx/settle_loops.h"

#include <algorithm>
#include <map>
#include <optional>

#include "graph/io/builder.h"
#include "graph/ir/frames.h"

namespace cytodet::graph::onnx {
namespace {

class Settler {
 public:
  explicit Settler(Graph& graph) : graph_(graph), frames_(graph) {}

  void run() {
    if (frames_.trivial()) return;
    const std::vector<NodeId> ids = graph_.ids();
    for (NodeId id : ids) look_at(id);
    for (NodeId id : ids) {
      const int frame = frame_inside(id);
      for (size_t i = 0; i < graph_.node(id).inputs.size(); ++i) {
        const Value v = graph_.node(id).inputs[i];
        if (!is_back_edge(id, v)) graph_.node(id).inputs[i] = brought(v, frame);
      }
    }
    for (NodeId id : ids) {
      AttrMap& attrs = graph_.node(id).attrs;
      if (const auto it = attrs.find(kOutputShapes); it != attrs.end() && graph_.node(id).op == "Merge") attrs.erase(it);
    }
  }

 private:
  struct Loop {
    int around = 0;
    std::string name;
    NodeId merge = -1;  // one that lives in every iteration
  };

  bool is_back_edge(NodeId id, Value v) const { return graph::is_back_edge(graph_.node(id), graph_.node(v.node)); }

  // The loop in which a node reads its inputs: for an Enter the loop around the one that it leads into; for an Exit the one that
  // it leaves; for a NextIteration that of the Merge that reads it, also where its own input is a constant.
  int frame_inside(NodeId id) const {
    const Node& n = graph_.node(id);
    if (n.op == "Enter") return loops_.at(frames_.frame(id)).around;
    if (n.op == "Exit") return frames_.frame(n.inputs[0].node);
    const auto it = next_.find(id);
    return it != next_.end() ? it->second : frames_.frame(id);
  }

  void look_at(NodeId id) {
    const Node& n = graph_.node(id);
    if (n.op == "Enter") {
      Loop& loop = loops_[frames_.frame(id)];
      loop.name = n.attr<std::string>("frame_name");
      loop.around = std::max(loop.around, frames_.frame(n.inputs[0].node));
    }
    for (Value v : n.inputs) {
      if (!is_back_edge(id, v)) continue;
      next_[v.node] = frames_.frame(id);
      if (Loop& loop = loops_[frames_.frame(id)]; loop.merge < 0) loop.merge = id;
    }
  }

  // The value v as nodes of loop `frame` read it.
  Value brought(Value v, int frame) {
    const int from = frames_.frame(v.node);
    if (from == frame || !loops_.contains(frame)) return v;
    const auto known = brought_.find({v, frame});
    if (known != brought_.end()) return known->second;
    return brought_[{v, frame}] = graph_.constant(v) ? own_constant(v, loops_.at(frame)) : entered(v, loops_.at(frame));
  }

  Value own_constant(Value v, const Loop& loop) {
    const Value copy = graph_.add_const(graph_.node(v.node).name, *graph_.constant(v));
    graph_.node(copy.node).controls = {loop.merge};
    return copy;
  }

  Value entered(Value v, const Loop& loop) {
    const Value outside = brought(v, loop.around);
    return graph_.add_new(graph_.node(v.node).name + "/enter", "Enter", {outside}, enter_attrs(type_of(v), loop.name, true));
  }

  // Facts are computed on the first call: only a value outside of loops that is too large for a constant gets here.
  DType type_of(Value v) {
    if (!facts_) facts_.emplace(graph_);
    return facts_->of(v).dtype;
  }

  Graph& graph_;
  const Frames frames_;
  std::optional<Facts> facts_;
  std::map<int, Loop> loops_;
  std::map<NodeId, int> next_;  // NextIterations
  std::map<std::pair<Value, int>, Value> brought_;
};

}  // namespace

void settle_loops(Graph& graph) { Settler(graph).run(); }

}  // namespace cytodet::graph::onnx
