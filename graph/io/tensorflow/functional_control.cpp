#include "graph/io/tensorflow/functional_control.h"

#include <algorithm>

#include "core/error.h"
#include "graph/ir/frames.h"

namespace cytodet::graph {
namespace {

AttrMap typed(DType t) {
  AttrMap a;
  if (t != DType::invalid) a.emplace("T", t);
  return a;
}

// Builds the nodes that stand for one If, Case or While.
class FunctionalControl {
 public:
  FunctionalControl(Graph& graph, NodeId id) : g_(graph), id_(id), node_(graph.node(id)) {}

  void branches(const std::vector<FuncAttr>& functions) {
    if (node_.inputs.empty() || functions.empty()) throw Error("", "needs a condition and functions");
    const Value condition = is_case() ? node_.inputs[0] : truth(node_.inputs[0], node_.attr_or("Tcond", DType::boolean));
    const DType type = is_case() ? DType::i32 : DType::boolean;
    std::vector<Value> data(node_.inputs.begin() + 1, node_.inputs.end());
    Value pivot = condition;  // lives where the rest of the branches may be taken
    std::vector<Value> pivots;
    std::vector<NodeId> calls;
    for (size_t k = 0; k + 1 < functions.size(); ++k) {
      const Value here = is_case() ? is_number(condition, k) : condition;
      const auto split = [&](Value v, DType t) { return add("switch", "Switch", {v, here}, typed(t)).node; };
      const NodeId way = split(pivot, type);
      std::vector<Value> inside;
      for (size_t i = 0; i < data.size(); ++i) {
        const DType t = type_of("Tin", i);
        const NodeId s = split(data[i], t);
        inside.push_back(add("input", "Identity", {{s, 1}}, typed(t)));
        data[i] = add("input", "Identity", {{s, 0}}, typed(t));
      }
      pivots.push_back(add("pivot", "Identity", {{way, 1}}, typed(type)));
      calls.push_back(plain_call(functions[k], inside, {pivots.back().node}, types("Tin"), types("Tout")));
      pivot = {way, 0};
    }
    pivots.push_back(add("pivot", "Identity", {pivot}, typed(type)));
    calls.push_back(plain_call(functions.back(), data, {pivots.back().node}, types("Tin"), types("Tout")));
    std::vector<Value> outputs;
    for (size_t slot = 0; slot < outputs_of(node_); ++slot) {
      std::vector<Value> ends;
      for (NodeId c : calls) ends.push_back({c, static_cast<int>(slot)});
      outputs.push_back(merge(ends, type_of("Tout", slot)));
    }
    finish(outputs, outputs.empty() ? std::vector<NodeId>{any_done(pivots, calls, type)} : std::vector<NodeId>{});
  }

  void loop(const FuncAttr& condition, const FuncAttr& body, DType condition_type) {
    const size_t n = node_.inputs.size();
    if (n == 0) throw Error("", "a loop without variables is not supported");
    const std::string frame = unique_frame(node_.name + "_frame");
    std::vector<Value> merges, switches, inside, exits;
    for (size_t i = 0; i < n; ++i) {
      AttrMap a = typed(type_of("T", i));
      a.emplace("frame_name", frame);
      a.emplace("is_constant", false);
      a.emplace("parallel_iterations", node_.attr_or("parallel_iterations", int64_t{10}));
      const Value enter = add("enter", "Enter", {node_.inputs[i]}, a);
      merges.push_back(merge({enter, enter}, type_of("T", i)));  // the second becomes the back edge
    }
    const NodeId again = plain_call(condition, merges, {merges[0].node}, types("T"), {condition_type});
    const Value go_on = add("loop_cond", "LoopCond", {truth({again, 0}, condition_type)}, {});
    for (size_t i = 0; i < n; ++i) {
      const DType t = type_of("T", i);
      switches.push_back(add("switch", "Switch", {merges[i], go_on}, typed(t), {}));
      inside.push_back(add("body", "Identity", {{switches[i].node, 1}}, typed(t)));
      exits.push_back(add("exit", "Exit", {switches[i]}, typed(t)));
    }
    const NodeId round = plain_call(body, inside, {inside[0].node}, types("T"), types("T"));
    for (size_t i = 0; i < n; ++i) {
      const Value next = add("next", "NextIteration", {{round, static_cast<int>(i)}}, typed(type_of("T", i)));
      g_.node(merges[i].node).inputs[1] = next;
    }
    finish(exits, {});
  }

 private:
  static size_t outputs_of(const Node& n) { return n.attr_or("Tout", AttrList{}).types.size(); }
  std::vector<DType> types(const char* list) const { return node_.attr_or(list, AttrList{}).types; }
  DType type_of(const char* list, size_t i) const {
    const std::vector<DType> all = types(list);
    return i < all.size() ? all[i] : DType::invalid;
  }
  Value add(const char* what, const char* op, std::vector<Value> inputs, AttrMap attrs) {
    const std::string kind = op;
    const bool first = kind == "Enter" || (kind == "Switch" && !node_.op.ends_with("While"));
    return add(what, op, std::move(inputs), std::move(attrs), first ? node_.controls : std::vector<NodeId>{});
  }
  Value add(const char* what, const char* op, std::vector<Value> inputs, AttrMap attrs, const std::vector<NodeId>& controls) {
    const Value v = g_.add_new(node_.name + "/" + what, op, std::move(inputs), std::move(attrs));
    g_.node(v.node).controls = controls;
    return v;
  }
  Value merge(const std::vector<Value>& ends, DType type) {
    AttrMap a = typed(type);
    a.emplace("N", static_cast<int64_t>(ends.size()));
    return add("merge", "Merge", ends, a);
  }
  // A condition as a bool: numbers but 0, and texts but the empty one, are true.
  Value truth(Value condition, DType t) {
    if (t == DType::boolean) return condition;
    if (t == DType::string)
      return add("condition", "NotEqual", {condition, beside(condition, Tensor(DType::string, {}))}, typed(t));
    AttrMap a;
    a.emplace("SrcT", t);
    a.emplace("DstT", DType::boolean);
    return add("condition", "Cast", {condition}, a);
  }
  // Whether function k of a Case runs.
  Value is_number(Value condition, size_t k) {
    return add("is_branch", "Equal", {condition, beside(condition, Tensor::scalar(static_cast<int32_t>(k)))}, typed(DType::i32));
  }
  // A constant in the loop that a value is in.
  Value beside(Value v, Tensor tensor) {
    const Value c = g_.add_const(node_.name + "/branch", std::move(tensor));
    g_.node(c.node).controls = {v.node};
    return c;
  }
  bool is_case() const { return node_.op.ends_with("Case"); }
  NodeId plain_call(const FuncAttr& f, const std::vector<Value>& inputs, std::vector<NodeId> controls,
                    const std::vector<DType>& in, const std::vector<DType>& out) {
    AttrMap a;
    a.emplace("f", f);
    AttrList list;
    list.types = in;
    a.emplace("Tin", list);
    list.types = out;
    a.emplace("Tout", list);
    const NodeId c = g_.add_new(node_.name + "/" + f.name, "StatefulPartitionedCall", inputs, std::move(a)).node;
    g_.node(c).controls = std::move(controls);
    return c;
  }
  // Lives when the call of the branch that is taken has run.
  NodeId any_done(const std::vector<Value>& pivots, const std::vector<NodeId>& calls, DType type) {
    std::vector<Value> done;
    for (size_t k = 0; k < calls.size(); ++k) done.push_back(add("done", "Identity", {pivots[k]}, typed(type), {calls[k]}));
    return merge(done, type).node;
  }
  std::string unique_frame(const std::string& base) const {
    std::vector<std::string> taken;
    for (NodeId id : g_.ids())
      if (is_control_flow_op(g_.node(id).op)) taken.push_back(g_.node(id).attr_or<std::string>("frame_name", ""));
    std::string name = base;
    for (int i = 1; std::find(taken.begin(), taken.end(), name) != taken.end(); ++i) name = base + "_" + std::to_string(i);
    return name;
  }
  // The node stays as an Identity of its outputs, so that its names and control edges stay.
  void finish(const std::vector<Value>& outputs, const std::vector<NodeId>& done) {
    const char* list = node_.attrs.contains("Tout") ? "Tout" : "T";
    if (outputs.size() > 1) {
      keep_all(g_, id_, outputs, node_.attr_or(list, AttrList{}));
      g_.node(id_).controls.clear();
      return;
    }
    Node& n = g_.node(id_);
    n.op = outputs.empty() ? "NoOp" : "Identity";
    n.inputs = outputs;
    n.attrs = outputs.empty() ? AttrMap{} : typed(type_of(list, 0));
    n.controls = done;
  }

  Graph& g_;
  NodeId id_;
  const Node node_;
};

}  // namespace

bool is_functional_control(const Node& n) {
  const std::string op = n.op.starts_with("Stateless") ? n.op.substr(9) : n.op;
  return op == "If" || op == "While" || op == "Case";
}

void lower_functional_control(Graph& graph, NodeId id, const std::vector<FuncAttr>& branches, DType condition_type) {
  const Node& n = graph.node(id);
  FunctionalControl lowering(graph, id);
  if (n.op.ends_with("While"))
    lowering.loop(n.attr<FuncAttr>("cond"), n.attr<FuncAttr>("body"), condition_type);
  else if (n.op.ends_with("If"))
    lowering.branches({n.attr<FuncAttr>("then_branch"), n.attr<FuncAttr>("else_branch")});
  else
    lowering.branches(branches);
}

NodeId gather_inputs(Graph& graph, NodeId id, const std::vector<DType>& types) {
  const Frames frames(graph);
  if (frames.trivial() || graph.node(id).inputs.empty()) return -1;
  const std::vector<Value> inputs = graph.node(id).inputs;
  const auto copy = [&](size_t i) {
    const DType type = i < types.size() ? types[i] : DType::invalid;
    return graph.node(id).inputs[i] = graph.add_new(graph.node(id).name + "/input", "Identity", {inputs[i]}, typed(type));
  };
  const bool agreed = std::all_of(inputs.begin(), inputs.end(), [&](Value v) { return frames.agree(v, inputs[0]); });
  std::vector<NodeId> anchor_nodes;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const NodeId a = agreed && is_switch(graph.node(inputs[i].node)) ? copy(i).node : anchor_of(graph, frames, inputs[i]);
    if (a >= 0 && std::find(anchor_nodes.begin(), anchor_nodes.end(), a) == anchor_nodes.end()) anchor_nodes.push_back(a);
  }
  if (anchor_nodes.empty()) return -1;
  if (agreed) return anchor_nodes[0];
  const NodeId all = graph.add_new(graph.node(id).name + "/inputs", "NoOp", {}, {}).node;
  graph.node(all).controls = anchor_nodes;
  for (size_t i = 0; i < inputs.size(); ++i) graph.node(copy(i).node).controls = {all};
  return all;
}

void keep_all(Graph& graph, NodeId id, const std::vector<Value>& values, const AttrList& types,
              const std::vector<NodeId>& controls) {
  if (controls.empty())
    for (size_t slot = 0; slot < values.size(); ++slot) graph.replace_uses({id, static_cast<int>(slot)}, values[slot]);
  Node& n = graph.node(id);
  n.op = "IdentityN";
  n.inputs = values;
  n.attrs.clear();
  n.attrs.emplace("T", types);
}

}  // namespace cytodet::graph
