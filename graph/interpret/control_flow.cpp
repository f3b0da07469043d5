#include "graph/interpret/control_flow.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "graph/interpret/tensor_arrays.h"
#include "graph/interpret/tensor_lists.h"

namespace cytodet::graph {
namespace {

constexpr int64_t max_iterations = int64_t{1} << 24;

std::string where(const Node& n) { return "node " + n.name + " (" + n.op + ")"; }

// Every node belongs to one frame: the root or a loop. An Enter belongs to the loop it leads into, an Exit to the frame around
// its loop. Inside a loop nodes run in dependency order, once per iteration; values that are missing are dead.
class ControlFlow {
 public:
  ControlFlow(const Graph& graph, const std::vector<NodeId>& nodes, const Feeds& feeds, const Evaluator& evaluator)
      : graph_(graph), feeds_(feeds), evaluator_(evaluator), frame_of_(static_cast<size_t>(graph.capacity()), -1) {
    frames_.push_back({});
    std::vector<char> needed(static_cast<size_t>(graph.capacity()), 0);
    for (NodeId id : nodes) needed[static_cast<size_t>(id)] = 1;
    for (NodeId id : graph.topological_order())
      if (needed[static_cast<size_t>(id)]) place(id);
    for (size_t f = 0; f < frames_.size(); ++f) sort(static_cast<int>(f));
  }

  std::vector<Tensor> run(const std::vector<Value>& fetches) {
    Scope root;
    for (const auto& [value, tensor] : feeds_) root.values[value] = tensor;
    scopes_ = {&root};
    run_iteration(0, 0, root, {});
    std::vector<Tensor> out;
    for (Value v : fetches) {
      auto it = root.values.find(v);
      if (it == root.values.end())
        throw Error("output " + graph_.name_of(v),
                    "has no value: it lies on a branch that is not taken or inside a loop, or its node gives fewer outputs");
      out.push_back(it->second);
    }
    return out;
  }

 private:
  struct Frame {
    int parent = -1, depth = 0;
    std::string name;
    std::vector<NodeId> nodes, order, exits;
    std::set<NodeId> outside;  // of the parent, read by this loop or by loops within it
  };
  struct Scope {
    std::map<Value, Tensor> values;
    std::set<NodeId> ran;
  };

  // The frame in which the outputs of a placed node are seen.
  int frame(NodeId id) const { return frame_of_[static_cast<size_t>(id)]; }

  void place(NodeId id) {
    const Node& n = graph_.node(id);
    int base = 0;
    auto look = [&](NodeId from) {
      const int f = frame(from);
      if (f >= 0 && frames_[static_cast<size_t>(f)].depth > frames_[static_cast<size_t>(base)].depth) base = f;
    };
    for (Value v : n.inputs)
      if (!feeds_.contains(v)) look(v.node);
    for (NodeId c : n.controls) look(c);
    if (n.op == "Enter") {
      const std::string& name = n.attr<std::string>("frame_name");
      auto it = std::find_if(frames_.begin(), frames_.end(), [&](const Frame& f) { return f.parent == base && f.name == name; });
      if (it == frames_.end()) {
        frames_.push_back({base, frames_[static_cast<size_t>(base)].depth + 1, name, {}, {}, {}, {}});
        if (frames_.back().depth > 64) throw Error(where(n), "loops are nested more than 64 deep");
        it = frames_.end() - 1;
      }
      base = static_cast<int>(it - frames_.begin());
    } else if (n.op == "Exit") {
      if (base == 0) throw Error(where(n), "is an Exit outside of a loop");
      frames_[static_cast<size_t>(base)].exits.push_back(id);
      base = frames_[static_cast<size_t>(base)].parent;
    }
    frame_of_[static_cast<size_t>(id)] = base;
    frames_[static_cast<size_t>(base)].nodes.push_back(id);
    each_input(id, [&](NodeId from) {
      int inner = base;
      while (inner > 0 && frames_[static_cast<size_t>(inner)].parent != frame(from))
        inner = frames_[static_cast<size_t>(inner)].parent;
      if (frame(from) != base && inner > 0) frames_[static_cast<size_t>(inner)].outside.insert(from);
    });
  }

  // f(node) for the placed nodes that a node reads, back edges left out.
  template <class F>
  void each_input(NodeId id, F f) const {
    const Node& n = graph_.node(id);
    for (Value v : n.inputs)
      if (!feeds_.contains(v) && frame(v.node) >= 0 && !(n.op == "Merge" && graph_.node(v.node).op == "NextIteration")) f(v.node);
    for (NodeId c : n.controls)
      if (frame(c) >= 0) f(c);
  }
  int loop_of(NodeId exit) const {
    for (size_t f = 1; f < frames_.size(); ++f)
      if (std::find(frames_[f].exits.begin(), frames_[f].exits.end(), exit) != frames_[f].exits.end()) return static_cast<int>(f);
    return -1;
  }

  // The nodes of a frame, each after what it reads there; an Exit after all that its loop reads there.
  void sort(int f) {
    Frame& frame_f = frames_[static_cast<size_t>(f)];
    std::map<NodeId, std::vector<NodeId>> readers;
    std::map<NodeId, int> open;
    auto depend = [&](NodeId reader, NodeId from) {
      if (frame(from) != f) return;
      readers[from].push_back(reader);
      ++open[reader];
    };
    for (NodeId id : frame_f.nodes) {
      if (graph_.node(id).op == "Exit") {
        for (NodeId from : frames_[static_cast<size_t>(loop_of(id))].outside) depend(id, from);
      } else if (graph_.node(id).op != "Enter") {
        each_input(id, [&](NodeId from) { depend(id, from); });
      }
    }
    for (NodeId id : frame_f.nodes)
      if (!open[id]) frame_f.order.push_back(id);
    for (size_t i = 0; i < frame_f.order.size(); ++i)
      for (NodeId reader : readers[frame_f.order[i]])
        if (--open[reader] == 0) frame_f.order.push_back(reader);
    if (frame_f.order.size() != frame_f.nodes.size()) throw Error("graph", "a loop depends on its own results");
  }

  const Tensor* find(Value v) const {
    for (size_t s = scopes_.size(); s-- > 0;)
      if (auto it = scopes_[s]->values.find(v); it != scopes_[s]->values.end())
        return it->second.defined() ? &it->second : nullptr;
    return nullptr;
  }
  bool ran(NodeId id) const {
    if (frame(id) < 0) return true;
    return std::any_of(scopes_.begin(), scopes_.end(), [&](const Scope* s) { return s->ran.contains(id); });
  }

  using Carried = std::map<NodeId, Tensor>;  // by NextIteration

  // Returns what NextIteration carries on.
  Carried run_iteration(int f, int64_t iteration, Scope& scope, const Carried& carried) {
    Carried next;
    std::set<int> done;
    for (NodeId id : frames_[static_cast<size_t>(f)].order) {
      const Node& n = graph_.node(id);
      if (n.op == "Exit") {
        if (const int loop = loop_of(id); done.insert(loop).second) run_loop(loop, scope);
        continue;
      }
      if (scope.ran.contains(id) || (n.op == "Placeholder" && feeds_.contains({id, 0}))) {
        scope.ran.insert(id);
        continue;
      }
      if (n.op == "Enter" && iteration > 0) continue;
      if (n.op == "Merge") {
        for (size_t i = 0; i < n.inputs.size(); ++i) {
          const bool back = graph_.node(n.inputs[i].node).op == "NextIteration" && !feeds_.contains(n.inputs[i]);
          const auto it = carried.find(n.inputs[i].node);
          const Tensor* value = back ? (it == carried.end() ? nullptr : &it->second) : find(n.inputs[i]);
          if (!value) continue;
          set(scope, id, {*value, Tensor::scalar(static_cast<int32_t>(i))});
          break;
        }
        continue;
      }
      std::vector<Tensor> in;
      for (Value v : n.inputs) {
        const Tensor* value = find(v);
        if (!value) break;
        in.push_back(*value);
      }
      if (in.size() != n.inputs.size() || !std::all_of(n.controls.begin(), n.controls.end(), [&](NodeId c) { return ran(c); }))
        continue;
      if (n.op == "NextIteration") next[id] = in[0];
      set(scope, id, compute(n, in));
    }
    return next;
  }

  std::vector<Tensor> compute(const Node& n, const std::vector<Tensor>& in) {
    if (!TensorArrays::handles(n) && !TensorLists::handles(n)) return evaluator_(n, in);
    try {
      return TensorLists::handles(n) ? lists_.run(n, in) : arrays_.run(n, in);
    } catch (const Error& e) {
      throw e.within(where(n));
    }
  }
  void set(Scope& scope, NodeId id, const std::vector<Tensor>& out) {
    scope.ran.insert(id);
    for (size_t slot = 0; slot < out.size(); ++slot)
      if (Value v{id, static_cast<int>(slot)}; !feeds_.contains(v)) scope.values[v] = out[slot];
  }

  void run_loop(int f, Scope& around) {
    const Frame& loop = frames_[static_cast<size_t>(f)];
    Scope constants;
    Carried carried;
    for (int64_t iteration = 0;; ++iteration) {
      Scope scope = constants;
      scopes_.push_back(&scope);
      carried = run_iteration(f, iteration, scope, carried);
      if (iteration == 0)
        for (NodeId id : loop.nodes)
          if (const Node& n = graph_.node(id); n.op == "Enter" && n.attr_or("is_constant", false) && scope.ran.contains(id)) {
            constants.ran.insert(id);
            constants.values[{id, 0}] = scope.values[{id, 0}];
          }
      if (carried.empty())
        for (NodeId exit : loop.exits)
          if (const Tensor* value = find(graph_.node(exit).inputs[0])) set(around, exit, {*value});
      scopes_.pop_back();
      if (carried.empty()) return;
      if (iteration >= max_iterations)
        throw Error("loop " + loop.name, "does not end within " + std::to_string(max_iterations) + " iterations");
    }
  }

  const Graph& graph_;
  const Feeds& feeds_;
  const Evaluator& evaluator_;
  std::vector<int> frame_of_;
  std::vector<Frame> frames_;
  std::vector<Scope*> scopes_;
  TensorArrays arrays_;
  TensorLists lists_;
};

}  // namespace

bool has_control_flow(const Graph& graph, const std::vector<NodeId>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [&](NodeId id) {
    const std::string& op = graph.node(id).op;
    return op == "Switch" || op == "Merge" || op == "Enter" || op == "Exit" || op == "NextIteration" ||
           TensorArrays::handles(graph.node(id)) || TensorLists::handles(graph.node(id));
  });
}

bool has_loop(const Graph& graph, const std::vector<NodeId>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [&](NodeId id) { return graph.node(id).op == "NextIteration"; });
}

std::vector<Tensor> run_control_flow(const Graph& graph, const std::vector<NodeId>& nodes, const Feeds& feeds,
                                     const std::vector<Value>& fetches, const Evaluator& evaluator) {
  return ControlFlow(graph, nodes, feeds, evaluator).run(fetches);
}

}  // namespace cytodet::graph
