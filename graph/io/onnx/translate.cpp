#include "graph/io/onnx/translate.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/join.h"
#include "core/suggest.h"
#include "graph/io/node_name.h"
#include "graph/io/onnx/op_table.h"
#include "graph/io/onnx/settle_loops.h"
#include "graph/layout/move_transposes.h"

namespace cytodet::graph::onnx {
namespace {

// How many nodes are read at most; the nodes of a loop's body count each time it is read.
constexpr int64_t kMaxNodes = 300000;

using Tensors = std::map<std::string, Value, std::less<>>;

std::string full_name(const OnnxNode& n) { return n.domain.empty() ? n.op : n.domain + "." + n.op; }

const OnnxOp* entry_of(const OnnxModel& model, const OnnxNode& n) {
  const auto it = model.opsets.find(n.domain);
  return find_onnx_op(full_name(n), it == model.opsets.end() ? 1 : it->second);
}

class Translator {
 public:
  Translator(const OnnxModel& model, ImageInputs images) : model_(model), opset_(opset_of(model)), images_(images) {}

  Graph run() {
    refuse_missing();
    Tensors known;
    add_initializers(model_.graph, known);
    std::vector<NodeId> kept;
    for (const OnnxValue& input : model_.graph.inputs)
      if (known.find(input.name) == known.end()) kept.push_back(add_input(input, known));
    run_nodes(model_.graph, known, {"", -1});
    std::vector<NodeId> outputs;
    b_.scope.clear();
    for (const OnnxValue& output : model_.graph.outputs) outputs.push_back(add_output(output.name, known));
    if (outputs.empty()) throw Error("", "has no outputs", "the model is damaged");
    kept.insert(kept.end(), outputs.begin(), outputs.end());
    b_.graph.sweep(kept);
    for (const NodeId id : outputs) b_.graph.output_order.push_back(b_.graph.node(id).name);
    Graph graph = move_transposes(b_.graph, outputs);
    settle_loops(graph);
    return graph;
  }

 private:
  static int64_t opset_of(const OnnxModel& model) {
    const auto it = model.opsets.find("");
    if (it == model.opsets.end()) throw Error("", "states no operator set", "the model is damaged");
    if (it->second < kFirstOpset || it->second > kLastOpset)
      throw Error("", "is of operator set " + std::to_string(it->second),
                  "sets " + std::to_string(kFirstOpset) + " to " + std::to_string(kLastOpset) +
                      " are read: export it with opset_version=17, or convert it with onnx.version_converter");
    return it->second;
  }

  // Throws Error that names all missing operators of the graph. Operators in branches (If, Loop) are looked up when the branch is
  // translated.
  void refuse_missing() const {
    std::map<std::string, const OnnxNode*> missing;
    for (const OnnxNode& n : model_.graph.nodes)
      if (!entry(n)) missing.emplace(full_name(n), &n);
    if (missing.empty()) return;
    if (missing.size() == 1)
      throw Error(missing.begin()->second->text(), not_read(*missing.begin()->second), "export the model without");
    std::vector<std::string> names;
    for (const auto& [name, node] : missing) names.push_back(name + " (" + node->called() + ")");
    throw Error("", "operators are not read, of operator set " + std::to_string(opset_) + " or other domains: " + listed(names),
                "export the model without; cytodet compile-report counts them");
  }

  // Why the node cannot be read; for ONNX's own operators with the operator set, which says what version is meant.
  std::string not_read(const OnnxNode& n) const {
    return (n.domain.empty() ? "operator set " + std::to_string(opset_) + ": " : "") + full_name(n) + " is not read";
  }

  const OnnxOp* entry(const OnnxNode& n) const { return entry_of(model_, n); }

  void add_initializers(const OnnxGraph& graph, Tensors& known) {
    for (const auto& [name, tensor] : graph.initializers) {
      b_.scope = node_name(name);
      known.insert_or_assign(name, b_.constant(tensor));
    }
  }

  NodeId add_input(const OnnxValue& input, Tensors& known) {
    const auto is_colours = [](int64_t c) { return c == 1 || c == 3 || c == 4; };
    const std::optional<Shape>& s = input.shape;
    const bool image =
        images_ == ImageInputs::channels_last && s && s->size() == 4 && is_colours((*s)[1]) && !is_colours((*s)[3]);
    if (!image) return known.emplace(input.name, placeholder(input)).first->second.node;
    OnnxValue last = input;
    last.shape = Shape{(*s)[0], (*s)[2], (*s)[3], (*s)[1]};
    const Value v = placeholder(last);
    b_.scope = node_name(input.name);
    known.emplace(input.name, b_.from_last(v));
    return v.node;
  }

  Value placeholder(const OnnxValue& input) {
    if (input.name.empty() || input.dtype == DType::invalid)
      throw Error("input " + input.name, "has no " + std::string(input.name.empty() ? "name" : "type"), "the model is damaged");
    ShapeAttr shape{input.shape.has_value(), input.shape.value_or(Shape())};
    return b_.add_as(node_name(input.name), "Placeholder", {}, {{"dtype", input.dtype}, {"shape", shape}});
  }

  // The loop or branch that nodes are added to: `name` begins their names; `anchor` as in Call.
  struct Place {
    std::string name;
    NodeId anchor;
  };

  void run_nodes(const OnnxGraph& graph, Tensors& known, const Place& place) {
    for (const OnnxNode& n : graph.nodes) {
      try {
        run_node(n, known, place);
      } catch (const Error& e) {
        if (e.where().starts_with("node ")) throw;  // of a branch
        throw e.within(n.text());
      }
    }
  }

  void run_node(const OnnxNode& n, Tensors& known, const Place& place) {
    if (++nodes_read_ > kMaxNodes)
      throw Error("", "lies in loops within loops that are read more than " + std::to_string(kMaxNodes) + " nodes long",
                  "export the model with fewer of them");
    const OnnxOp* op = entry(n);
    if (!op) throw Error("", not_read(n), "export the model without");
    std::vector<std::optional<Value>> inputs;
    for (const std::string& name : n.inputs) {
      if (name.empty()) {
        inputs.push_back({});
        continue;
      }
      const auto it = known.find(name);
      if (it == known.end()) throw Error("", "reads tensor " + name + ", which no node before it makes", nearest(name, known));
      inputs.push_back(it->second);
    }
    const std::string own = place.name + node_name(!n.name.empty() ? n.name : n.outputs.empty() ? n.op : n.outputs[0]);
    b_.scope = own;
    const NodeId before = b_.graph.capacity();
    const Call::Branch branch = [&](const OnnxGraph& inner, const Call::Inside& inside) {
      return run_branch(inner, known, {b_.scope, place.anchor}, inside);
    };
    Call call(b_, n, opset_, inputs, branch, place.anchor);
    op->translate(call);
    follow_quantized(n, *op, call, inputs, branch);
    for (size_t i = 0; i < n.outputs.size(); ++i) {
      if (n.outputs[i].empty()) continue;
      if (i >= call.out.size() || !call.out[i])
        throw Error("", "gives no output " + std::to_string(i) + " (" + n.outputs[i] + ")", "such outputs are not read");
      if (!known.emplace(n.outputs[i], *call.out[i]).second)
        throw Error("", "makes tensor " + n.outputs[i] + ", which another node makes too", "the model is damaged");
    }
    if (call.out.empty() || !call.out[0]) return;
    const NodeId last = call.out[0]->node;
    if (last >= before && b_.graph.alive(last) && b_.graph.find(own) < 0) b_.graph.rename(last, own);
  }

  // An operator that moves quantized values, or takes the largest, gives the quantized values of what it makes of the floats
  // behind them: it is translated for these floats too, and made_of says so, so that a DequantizeLinear behind it finds them.
  void follow_quantized(const OnnxNode& n, const OnnxOp& op, const Call& made, std::vector<std::optional<Value>> inputs,
                        const Call::Branch& branch) {
    static const std::set<std::string> kMoves = {"Flatten", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"};
    if (!n.domain.empty() || !kMoves.contains(n.op) || n.outputs.size() != 1 || !inputs.at(0) || !made.out.at(0)) return;
    const auto it = b_.made_of.find(*inputs[0]);
    if (it == b_.made_of.end() || *made.out[0] == *inputs[0]) return;
    const Builder::QuantizedFrom from = it->second;
    inputs[0] = from.number;
    Call floats(b_, n, opset_, std::move(inputs), branch, made.anchor);
    op.translate(floats);
    b_.made_of.insert_or_assign(*made.out[0], Builder::QuantizedFrom{floats.out.at(0).value(), from.scale, from.zero_point});
  }

  static std::string nearest(const std::string& name, const Tensors& known) {
    std::vector<std::string> names;
    for (const auto& [other, value] : known) names.push_back(other);
    return suggest(name, names);
  }

  // Names of tensors that a graph, and the graphs within it, read.
  static void collect_read(const OnnxGraph& graph, std::set<std::string>& names) {
    for (const OnnxValue& output : graph.outputs) names.insert(output.name);
    for (const OnnxNode& n : graph.nodes) {
      names.insert(n.inputs.begin(), n.inputs.end());
      for (const auto& [key, attr] : n.attrs)
        if (const auto* inner = std::get_if<std::shared_ptr<OnnxGraph>>(&attr); inner && *inner) collect_read(**inner, names);
    }
  }

  // What lies around a branch or body, and is read within it, is seen there through `enter`.
  Tensors seen_within(const OnnxGraph& inner, const Tensors& around, const Call::Inside& inside) {
    std::set<std::string> read, own;
    collect_read(inner, read);
    for (const OnnxNode& n : inner.nodes) own.insert(n.outputs.begin(), n.outputs.end());
    for (const OnnxValue& input : inner.inputs) own.insert(input.name);
    for (const auto& [name, tensor] : inner.initializers) own.insert(name);
    Tensors known;
    for (const std::string& name : read) {
      const auto it = around.find(name);
      if (it == around.end() || own.contains(name)) continue;
      known.emplace(name, inside.enter && !b_.constant(it->second) ? inside.enter(it->second) : it->second);
    }
    return known;
  }

  std::vector<Value> run_branch(const OnnxGraph& branch, const Tensors& around, const Place& place, const Call::Inside& inside) {
    Tensors known = seen_within(branch, around, inside);
    add_initializers(branch, known);
    if (inside.inputs.size() != branch.inputs.size())
      throw Error("",
                  "has a graph of " + std::to_string(branch.inputs.size()) + " inputs for " +
                      std::to_string(inside.inputs.size()) + " values",
                  "the model is damaged");
    for (size_t i = 0; i < inside.inputs.size(); ++i) known.insert_or_assign(branch.inputs[i].name, inside.inputs[i]);
    run_nodes(branch, known, {place.name + "/", inside.anchor >= 0 ? inside.anchor : place.anchor});
    b_.scope = place.name;
    std::vector<Value> values;
    for (const OnnxValue& output : branch.outputs) {
      const auto it = known.find(output.name);
      if (it == known.end())
        throw Error("", "has a branch or body whose output " + output.name + " no node makes", "the model is damaged");
      values.push_back(it->second);
    }
    return values;
  }

  // An Identity of its name; a node that has the name already gives way.
  NodeId add_output(const std::string& name, const Tensors& known) {
    const auto it = known.find(name);
    if (it == known.end()) throw Error("output " + name, "is made by no node", nearest(name, known));
    const std::string wanted = node_name(name);
    const NodeId other = b_.graph.find(wanted);
    if (other >= 0 && b_.graph.node(other).op != "Placeholder") b_.graph.rename(other, b_.graph.unique_name(wanted));
    return b_.add_as(wanted, "Identity", {it->second}, {}).node;
  }

  const OnnxModel& model_;
  const int64_t opset_;
  const ImageInputs images_;
  Builder b_;
  int64_t nodes_read_ = 0;  // those of loops as often as they were tried
};

}  // namespace

std::vector<OperatorUse> operators_of(const OnnxModel& model) {
  std::vector<OperatorUse> all;
  const auto set = model.opsets.find("");
  if (set == model.opsets.end() || set->second < kFirstOpset || set->second > kLastOpset) return all;  // translate() says so
  for (const OnnxNode& n : model.graph.nodes) all.push_back({full_name(n), entry_of(model, n) != nullptr});
  return all;
}

Graph translate(const OnnxModel& model, ImageInputs images) { return Translator(model, images).run(); }

}  // namespace cytodet::graph::onnx
