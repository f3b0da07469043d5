#include "graph/functional_control.h"

#include "core/error.h"

namespace cytodet {
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
    const Value condition = node_.inputs[0];
    std::vector<Value> data(node_.inputs.begin() + 1, node_.inputs.end());
    Value pivot = condition;  // lives where the rest of the branches may be taken
    std::vector<NodeId> calls;
    for (size_t k = 0; k + 1 < functions.size(); ++k) {
      const Value here = taken(condition, k);
      const auto split = [&](Value v, DType t) { return add("switch", "Switch", {v, here}, typed(t)).node; };
      const NodeId way = split(pivot, DType::invalid);
      std::vector<Value> inside;
      for (size_t i = 0; i < data.size(); ++i) {
        const NodeId s = split(data[i], type_of("Tin", i));
        inside.push_back({s, 1});
        data[i] = {s, 0};
      }
      calls.push_back(call(functions[k], inside, {way, 1}));
      pivot = {way, 0};
    }
    calls.push_back(call(functions.back(), data, pivot));
    std::vector<Value> outputs;
    for (size_t slot = 0; slot < outputs_of(node_); ++slot) {
      std::vector<Value> ends;
      for (NodeId c : calls) ends.push_back({c, static_cast<int>(slot)});
      AttrMap a = typed(type_of("Tout", slot));
      a.emplace("N", static_cast<int64_t>(ends.size()));
      outputs.push_back(add("merge", "Merge", ends, a));
    }
    finish(outputs, calls);
  }

  void loop(const FuncAttr& condition, const FuncAttr& body) {
    const size_t n = node_.inputs.size();
    if (n == 0) throw Error("", "a loop without variables is not supported");
    std::vector<Value> merges, switches, inside, exits;
    for (size_t i = 0; i < n; ++i) {
      AttrMap a = typed(type_of("T", i));
      a.emplace("frame_name", node_.name + "_frame");
      a.emplace("is_constant", false);
      a.emplace("parallel_iterations", node_.attr_or("parallel_iterations", int64_t{10}));
      const Value enter = add("enter", "Enter", {node_.inputs[i]}, a);
      a = typed(type_of("T", i));
      a.emplace("N", int64_t{2});
      merges.push_back(add("merge", "Merge", {enter, enter}, a));  // the second becomes the back edge
    }
    const NodeId again = plain_call(condition, merges, {merges[0].node}, 1);
    const Value go_on = add("loop_cond", "LoopCond", {{again, 0}}, {});
    for (size_t i = 0; i < n; ++i) {
      const DType t = type_of("T", i);
      switches.push_back(add("switch", "Switch", {merges[i], go_on}, typed(t)));
      inside.push_back(add("body", "Identity", {{switches[i].node, 1}}, typed(t)));
      exits.push_back(add("exit", "Exit", {switches[i]}, typed(t)));
    }
    const NodeId round = plain_call(body, inside, {inside[0].node}, n);
    for (size_t i = 0; i < n; ++i) {
      const Value next = add("next", "NextIteration", {{round, static_cast<int>(i)}}, typed(type_of("T", i)));
      g_.node(merges[i].node).inputs[1] = next;
    }
    finish(exits, {});
  }

 private:
  static size_t outputs_of(const Node& n) { return n.attr_or("Tout", AttrList{}).types.size(); }
  DType type_of(const char* list, size_t i) const {
    const AttrList types = node_.attr_or(list, AttrList{});
    return i < types.types.size() ? types.types[i] : DType::invalid;
  }
  Value add(const char* what, const char* op, std::vector<Value> inputs, AttrMap attrs) {
    const Value v = g_.add_new(node_.name + "/" + what, op, std::move(inputs), std::move(attrs));
    if (std::string(op) == "Switch" || std::string(op) == "Enter") g_.node(v.node).controls = node_.controls;
    return v;
  }
  // True where function k of the branches runs: an If's first is its then_branch.
  Value taken(Value condition, size_t k) {
    if (!is_case()) {
      const DType t = node_.attr_or("Tcond", DType::boolean);
      if (t == DType::boolean) return condition;
      AttrMap a;
      a.emplace("SrcT", t);
      a.emplace("DstT", DType::boolean);
      return add("condition", "Cast", {condition}, a);
    }
    const Value number = g_.add_const(node_.name + "/branch", Tensor::scalar(static_cast<int32_t>(k)));
    return add("is_branch", "Equal", {condition, number}, typed(DType::i32));
  }
  bool is_case() const { return node_.op.ends_with("Case"); }
  NodeId call(const FuncAttr& f, const std::vector<Value>& inputs, Value pivot) {
    const Value alive = add("pivot", "Identity", {pivot}, {});
    return plain_call(f, inputs, {alive.node}, outputs_of(node_));
  }
  NodeId plain_call(const FuncAttr& f, const std::vector<Value>& inputs, std::vector<NodeId> controls, size_t outputs) {
    AttrMap a;
    a.emplace("f", f);
    AttrList types;
    types.types.resize(outputs, DType::invalid);
    a.emplace("Tout", types);
    const NodeId c = g_.add_new(node_.name + "/" + f.name, "StatefulPartitionedCall", inputs, std::move(a)).node;
    g_.node(c).controls = std::move(controls);
    return c;
  }
  // The node stays as an Identity of its outputs, so that its names and control edges stay.
  void finish(const std::vector<Value>& outputs, const std::vector<NodeId>& calls) {
    const char* types = node_.attrs.contains("Tout") ? "Tout" : "T";
    if (outputs.size() > 1) {
      keep_all(g_, id_, outputs, node_.attr_or(types, AttrList{}));
      g_.node(id_).controls.clear();
      return;
    }
    Node& n = g_.node(id_);
    n.op = outputs.empty() ? "NoOp" : "Identity";
    n.inputs = outputs;
    n.attrs = outputs.empty() ? AttrMap{} : typed(type_of(types, 0));
    n.controls = outputs.empty() ? calls : std::vector<NodeId>{};
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

void lower_functional_control(Graph& graph, NodeId id, const std::vector<FuncAttr>& branches) {
  const Node& n = graph.node(id);
  FunctionalControl lowering(graph, id);
  if (n.op.ends_with("While"))
    lowering.loop(n.attr<FuncAttr>("cond"), n.attr<FuncAttr>("body"));
  else if (n.op.ends_with("If"))
    lowering.branches({n.attr<FuncAttr>("then_branch"), n.attr<FuncAttr>("else_branch")});
  else
    lowering.branches(branches);
}

void keep_all(Graph& graph, NodeId id, const std::vector<Value>& values, const AttrList& types) {
  for (size_t slot = 0; slot < values.size(); ++slot) graph.replace_uses({id, static_cast<int>(slot)}, values[slot]);
  Node& n = graph.node(id);
  n.op = "IdentityN";
  n.inputs = values;
  n.attrs.clear();
  n.attrs.emplace("T", types);
}

}  // namespace cytodet
