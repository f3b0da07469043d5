// Constants in the place of variables. A resource variable is a handle, which other nodes pass on and read; a reference variable
// is its value. Both become the value everywhere, so nodes that pass a handle on change their type.
#include <algorithm>
#include <set>

#include "core/error.h"
#include "graph/io/tensorflow/variables.h"
#include "graph/ir/frames.h"

namespace cytodet::graph {
namespace {

class Replacement {
 public:
  explicit Replacement(Graph& g) : g_(g) {}

  void replace(NodeId variable, const Tensor& value) {
    const bool handle = g_.node(variable).op == "VarHandleOp";
    AttrMap attrs;
    attrs.emplace("dtype", value.dtype());
    attrs.emplace("value", value);
    become(variable, "Const", attrs, 0);
    (handle ? handles_ : references_).push_back({{variable, 0}, g_.node(variable).name, value.dtype()});
  }

  // Consumers are those of the graph before any node was replaced: only types and ops change.
  void spread() {
    const Consumers consumers(g_);
    while (!handles_.empty() || !references_.empty()) {
      const bool handle = !handles_.empty();
      std::vector<Held>& open = handle ? handles_ : references_;
      const Held held = open.back();
      open.pop_back();
      for (const Consumers::Use& use : consumers.of(held.value)) {
        const bool done = handle ? read_handle(held, use) : read_reference(held, use);
        if (!done) throw refused(held, g_.node(use.node));
      }
    }
    for (const auto& [id, inputs] : merges_)
      if (inputs < g_.node(id).inputs.size())
        throw Error("node " + g_.node(id).name, "merges variables of which not all are frozen", "freeze all of them");
  }

 private:
  struct Held {
    Value value;  // that was a handle of, or a reference to, a variable
    std::string variable;
    DType type;
  };

  static Error refused(const Held& held, const Node& n) {
    const std::string where = node_text(n);
    if (writes_variables(n))
      return Error(where, "writes the variable " + held.variable + ", and the outputs wait for it: this is a graph for training",
                   "name other outputs, or save the network for inference");
    return Error(where, "uses the variable " + held.variable + " in a way that no constant can serve", "name other outputs");
  }

  // The node becomes another op on its first `inputs` inputs.
  void become(NodeId id, const char* op, AttrMap attrs, size_t inputs) {
    Node& n = g_.node(id);
    n.op = op;
    n.attrs = std::move(attrs);
    n.inputs.resize(std::min(inputs, n.inputs.size()));
    n.extra.clear();
  }
  static AttrMap typed(DType type) {
    AttrMap attrs;
    attrs.emplace("T", type);
    return attrs;
  }
  // A constant runs in the loop or branch in which `v` lives.
  void keep_place(NodeId constant, Value v) {
    const NodeId anchor = anchor_of(g_, Frames(g_), v);
    if (anchor >= 0) g_.node(constant).controls.push_back(anchor);
  }
  // Handles are scalars: a value has another type and another shape.
  void retype(NodeId id, Attr type) {
    Node& n = g_.node(id);
    n.attrs.insert_or_assign("T", std::move(type));
    n.attrs.erase("_output_shapes");
    n.extra.clear();
  }
  void pass_on(bool handle, Value v, const Held& held) {
    if (passed_.insert(v).second) (handle ? handles_ : references_).push_back({v, held.variable, held.type});
  }

  // Control flow and copies, in their forms for values. False: the node is none of these.
  bool pass(bool handle, const Held& held, const Consumers::Use& use) {
    Node& n = g_.node(use.node);
    std::string op = n.op;
    const bool reference_form = op.starts_with("Ref") && op != "RefSelect";
    if (reference_form) op = op.substr(3);
    const bool one_output = op == "Identity" || op == "Enter" || op == "Exit" || op == "NextIteration";
    if (!one_output && op != "Switch" && op != "Merge") return false;
    if (op == "Switch" && use.input != 0) return false;
    if (!handle && !reference_form) return true;  // takes the value as it is
    n.op = op;
    retype(use.node, Attr(held.type));
    if (op == "Merge") ++merges_[use.node];
    pass_on(handle, {use.node, 0}, held);
    if (op == "Switch") pass_on(handle, {use.node, 1}, held);
    return true;
  }

  bool is_initialized(const Consumers::Use& use) {
    if (g_.node(use.node).op != "VarIsInitializedOp" && g_.node(use.node).op != "IsVariableInitialized") return false;
    keep_place(use.node, g_.node(use.node).inputs[0]);
    AttrMap attrs;
    attrs.emplace("dtype", DType::boolean);
    attrs.emplace("value", Tensor::scalar(true));
    become(use.node, "Const", attrs, 0);
    return true;
  }

  bool read_reference(const Held& held, const Consumers::Use& use) {
    const Node& n = g_.node(use.node);
    if (pass(false, held, use) || is_initialized(use)) return true;
    return n.op != "RefSelect" && !(writes_variables(n) && use.input == 0);
  }

  bool read_handle(const Held& held, const Consumers::Use& use) {
    const std::string op = g_.node(use.node).op;
    if (pass(true, held, use) || is_initialized(use)) return true;
    if (op == "ReadVariableOp") return become(use.node, "Identity", typed(held.type), 1), true;
    if (op == "IdentityN") return pass_among(held, use);
    if (op == "VariableShape") {
      AttrMap attrs = typed(held.type);
      attrs.emplace("out_type", g_.node(use.node).attr_or("out_type", DType::i32));
      return become(use.node, "Shape", attrs, 1), true;
    }
    if (op == "ResourceGather" || op == "ResourceGatherNd") return gather(held, use.node);
    return false;
  }

  bool pass_among(const Held& held, const Consumers::Use& use) {
    AttrList types = g_.node(use.node).attr_or("T", AttrList{});
    if (static_cast<size_t>(use.input) >= types.types.size()) return false;
    types.types[static_cast<size_t>(use.input)] = held.type;
    retype(use.node, Attr(types));
    pass_on(true, {use.node, use.input}, held);
    return true;
  }

  bool gather(const Held& held, NodeId id) {
    const bool nd = g_.node(id).op == "ResourceGatherNd";
    const int64_t batch = g_.node(id).attr_or<int64_t>("batch_dims", 0);
    AttrMap attrs;
    attrs.emplace("Tparams", held.type);
    attrs.emplace("Tindices", g_.node(id).attr_or("Tindices", DType::i32));
    if (!nd) {
      attrs.emplace("Taxis", DType::i32);
      attrs.emplace("batch_dims", batch);
    }
    become(id, nd ? "GatherNd" : "GatherV2", attrs, 2);
    if (nd) return true;
    const Value axis = g_.add_const(g_.node(id).name + "/axis", Tensor::scalar(static_cast<int32_t>(batch)));
    keep_place(axis.node, g_.node(id).inputs[1]);
    g_.node(id).inputs.push_back(axis);
    return true;
  }

  Graph& g_;
  std::vector<Held> handles_, references_;
  std::set<Value> passed_;
  std::map<NodeId, size_t> merges_;  // inputs that were replaced
};

}  // namespace

void replace_variables(Graph& graph, const std::map<NodeId, Tensor>& values) {
  Replacement replacement(graph);
  for (const auto& [id, value] : values) replacement.replace(id, value);
  replacement.spread();
}

}  // namespace cytodet::graph
