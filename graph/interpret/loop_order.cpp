#include "graph/interpret/loop_order.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "graph/ir/frames.h"

namespace cytodet::graph {
namespace {

class Orderer {
 public:
  Orderer(const Graph& graph, const std::set<Value>& fed) : graph_(graph), fed_(fed) {
    result_.frame_of.assign(at(graph.capacity()), -1);
    result_.loop_of.assign(at(graph.capacity()), -1);
    add_frame({});
  }

  LoopOrder run(const std::vector<NodeId>& nodes) {
    std::vector<char> needed(at(graph_.capacity()), 0);
    for (NodeId id : nodes) needed[at(id)] = 1;
    for (NodeId id : graph_.topological_order())
      if (needed[at(id)]) place(id);
    for (size_t f = 0; f < result_.frames.size(); ++f) sort(static_cast<int>(f));
    return std::move(result_);
  }

 private:
  LoopOrder::Frame& frame_at(int f) { return result_.frames[at(f)]; }
  int frame(NodeId id) const { return result_.frame(id); }

  int add_frame(LoopOrder::Frame frame) {
    result_.frames.push_back(std::move(frame));
    nodes_.emplace_back();
    outside_.emplace_back();
    return static_cast<int>(result_.frames.size()) - 1;
  }

  void place(NodeId id) {
    const Node& n = graph_.node(id);
    int base = 0;
    const auto look = [&](NodeId from) {
      const int f = frame(from);
      if (f >= 0 && frame_at(f).depth > frame_at(base).depth) base = f;
    };
    for (Value v : n.inputs)
      if (!fed_.contains(v)) look(v.node);
    for (NodeId c : n.controls) look(c);
    if (n.op == "Enter") base = loop_entered(n, base);
    if (n.op == "Exit") {
      if (base == 0) throw Error(node_text(n), "is an Exit outside of a loop");
      result_.loop_of[at(id)] = base;
      frame_at(base).exits.push_back(id);
      base = frame_at(base).parent;
    }
    result_.frame_of[at(id)] = base;
    nodes_[at(base)].push_back(id);
    each_input(id, [&](NodeId from) {
      int inner = base;
      while (inner > 0 && frame_at(inner).parent != frame(from)) inner = frame_at(inner).parent;
      if (frame(from) != base && inner > 0) outside_[at(inner)].insert(from);
    });
  }

  int loop_entered(const Node& n, int around) {
    const std::string& name = n.attr<std::string>("frame_name");
    for (size_t f = 0; f < result_.frames.size(); ++f)
      if (result_.frames[f].parent == around && result_.frames[f].name == name) return static_cast<int>(f);
    const int depth = frame_at(around).depth + 1;
    if (depth > 64) throw Error(node_text(n), "loops are nested more than 64 deep");
    return add_frame({around, depth, name, {}, {}});
  }

  // visit(node) for the placed nodes that a node reads, back edges left out.
  template <class Visit>
  void each_input(NodeId id, Visit visit) const {
    const Node& n = graph_.node(id);
    for (Value v : n.inputs)
      if (!fed_.contains(v) && frame(v.node) >= 0 && !is_back_edge(n, graph_.node(v.node))) visit(v.node);
    for (NodeId c : n.controls)
      if (frame(c) >= 0) visit(c);
  }

  // The nodes of a frame, each after what it reads there; an Exit after all that its loop reads there.
  void sort(int f) {
    const std::vector<NodeId>& nodes = nodes_[at(f)];
    std::vector<NodeId>& order = frame_at(f).order;
    std::map<NodeId, std::vector<NodeId>> readers;
    std::map<NodeId, int> open;
    const auto depend = [&](NodeId reader, NodeId from) {
      if (frame(from) != f) return;
      readers[from].push_back(reader);
      ++open[reader];
    };
    for (NodeId id : nodes) {
      if (const int loop = result_.loop_of[at(id)]; loop >= 0) {
        for (NodeId from : outside_[at(loop)]) depend(id, from);
      } else if (graph_.node(id).op != "Enter") {
        each_input(id, [&](NodeId from) { depend(id, from); });
      }
    }
    for (NodeId id : nodes)
      if (!open[id]) order.push_back(id);
    for (size_t i = 0; i < order.size(); ++i)
      for (NodeId reader : readers[order[i]])
        if (--open[reader] == 0) order.push_back(reader);
    if (order.size() != nodes.size()) throw Error("graph", "a loop depends on its own results");
  }

  const Graph& graph_;
  const std::set<Value>& fed_;
  LoopOrder result_;
  std::vector<std::vector<NodeId>> nodes_;  // by frame, in the order of the graph
  std::vector<std::set<NodeId>> outside_;   // by loop: nodes of its parent that it or loops within it read
};

}  // namespace

LoopOrder order_loops(const Graph& graph, const std::vector<NodeId>& nodes, const std::set<Value>& fed) {
  return Orderer(graph, fed).run(nodes);
}

}  // namespace cytodet::graph
