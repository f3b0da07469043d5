#include <algorithm>

#include "core/error.h"
#include "graph/ir/conv_node.h"
#include "graph/ir/frames.h"
#include "graph/passes/node_edits.h"
#include "graph/passes/passes.h"

namespace cytodet::graph {
namespace {

constexpr size_t kMaxFoldedBytes = size_t{64} << 20;

// Waits for what its inputs waited for, and so lives in the same loop and on the same conditions as before.
void become_const(Graph& g, NodeId id, Tensor value) {
  Node& n = g.node(id);
  for (Value v : n.inputs)
    if (g.constant(v)) wait_for(n, g.node(v.node).controls);
  g.become_const(id, std::move(value));
}

bool foldable(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  static const char* const kNever[] = {
      "Const", "Placeholder", "PlaceholderWithDefault", "NoOp",    "Assert", "Print", "Switch", "Merge",
      "Enter", "Exit",        "NextIteration",          "LoopCond"};
  if (std::any_of(std::begin(kNever), std::end(kNever), [&](const char* op) { return n.op == op; })) return false;
  const Op* op = find_op(n.op);
  return op && op->eval && !op->stateful;
}

// Whether the node leads to the filter of a quantized convolution or MatMul: those keep INT8 values and scales apart, as
// graph/quantized/quant_nodes.h reads them.
bool feeds_quantized_filter(const Graph& g, const Consumers& uses, NodeId id) {
  const Node& n = g.node(id);
  if (n.op != "Dequantize" && n.op != "Reshape") return false;
  if (n.op == "Dequantize" && size_of(n.attr_or("T", DType::quint8)) != 1) return false;
  return std::any_of(uses.of(id).begin(), uses.of(id).end(), [&](Consumers::Use use) {
    const std::string& op = g.node(use.node).op;
    return has_int8_form(op) || (n.op == "Dequantize" && feeds_quantized_filter(g, uses, use.node));
  });
}

bool fold_once(Graph& g, const Interface& io) {
  bool changed = false;
  std::set<NodeId> inputs = input_ids(g, io), outputs = output_ids(g, io);
  Facts facts(g);
  const Frames frames(g);
  const Consumers read(g);
  for (NodeId id : g.topological_order()) {
    if (!foldable(g, id) || inputs.contains(id)) continue;
    const Node& n = g.node(id);
    if (n.op == "Dequantize" && feeds_quantized_filter(g, read, id)) continue;
    std::vector<Tensor> in;
    for (Value v : n.inputs) {
      const Tensor* t = g.constant(v);
      if (!t) break;
      in.push_back(*t);
    }
    if (in.size() != n.inputs.size() || in.empty()) {
      // Shape, Size and Rank of a value of known shape.
      const Fact& f = facts.of({id, 0});
      if (f.constant && (n.op == "Shape" || n.op == "Size" || n.op == "Rank")) {
        if (const NodeId anchor = anchor_of(g, frames, n.inputs[0]); anchor >= 0) wait_for(g.node(id), {anchor});
        become_const(g, id, *f.constant);
        changed = true;
      }
      continue;
    }
    std::vector<Tensor> out;
    try {
      out = evaluate(n, in);
    } catch (const Error&) {
      continue;  // running the graph reports it
    }
    size_t bytes = 0;
    for (const Tensor& t : out) bytes += t.bytes();
    if (out.empty() || bytes > kMaxFoldedBytes) continue;
    if (out.size() > 1 && outputs.contains(id)) continue;  // any of its slots may be fetched
    const std::string name = n.name;
    become_const(g, id, out[0]);
    for (size_t slot = 1; slot < out.size(); ++slot)
      if (Value v{id, static_cast<int>(slot)}; !read.of(v).empty())
        g.replace_uses(v, add_const_like(g, {id, 0}, name + "/output_" + std::to_string(slot), out[slot]));
    changed = true;
  }
  if (changed) sweep(g, io);
  return changed;
}

}  // namespace

// A condition that became a constant goes with the way that is not taken: TensorFlow's optimizer gives no value where it meets
// one on a way of another.
bool pass_fold_constants(Graph& g, const Interface& io) {
  bool changed = fold_once(g, io);
  for (int rounds = 0; rounds < 16 && pass_fold_switch_merge(g, io); ++rounds) {
    fold_once(g, io);
    changed = true;
  }
  return changed;
}

//   Const of integers ─▶ [Cast | GatherV2 | Reshape | AddV2]* ─▶ Reshape of qint8     a packed filter (packed_filters.h)
// becomes
//   Const of qint8
//
// No other nodes are folded here: passes between this one and fold_constants look for ops as the file has them.
bool pass_unpack_filters(Graph& g, const Interface& io) {
  std::map<NodeId, Tensor> known;
  std::set<NodeId> filters;
  for (NodeId id : g.topological_order()) {
    const Node& n = g.node(id);
    if (n.op != "Cast" && n.op != "GatherV2" && n.op != "Reshape" && n.op != "AddV2") continue;
    std::vector<Tensor> in;
    for (Value v : n.inputs) {
      const auto it = known.find(v.node);
      const Tensor* t = it != known.end() && v.slot == 0 ? &it->second : g.constant(v);
      if (!t || is_floating(t->dtype()) || t->dtype() == DType::string) break;
      in.push_back(*t);
    }
    if (in.size() != n.inputs.size() || in.empty()) continue;
    try {
      std::vector<Tensor> out = evaluate(n, in);
      if (out.size() != 1 || out[0].bytes() > kMaxFoldedBytes || is_floating(out[0].dtype())) continue;
      if (n.op == "Reshape" && out[0].dtype() == DType::qint8) filters.insert(id);
      known[id] = std::move(out[0]);
    } catch (const Error&) {
      continue;  // running the graph reports it
    }
  }
  for (NodeId id : filters) become_const(g, id, known.at(id));
  if (!filters.empty()) sweep(g, io);
  return !filters.empty();
}

//   Const ─┬▶ Conv2D | Conv3D | DepthwiseConv2dNative | MatMul | BiasAdd
//          └▶ another of them     reads a copy of the Const from now on
bool pass_split_shared_constants(Graph& g, const Interface& io) {
  static const char* const kReaders[] = {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BiasAdd"};
  bool changed = false;
  std::set<NodeId> outputs = output_ids(g, io);
  Consumers uses(g);
  for (NodeId id : g.ids()) {
    if (!g.constant(id)) continue;
    int k = 0;
    for (Consumers::Use use : uses.of(id)) {
      Node& reader = g.node(use.node);
      if (std::none_of(std::begin(kReaders), std::end(kReaders), [&](const char* op) { return reader.op == op; })) continue;
      if (++k < 2) continue;
      Node copy = g.node(id);
      copy.name = g.unique_name(g.node(id).name + "_" + std::to_string(k));
      NodeId clone = g.add(std::move(copy));
      g.node(use.node).inputs[static_cast<size_t>(use.input)] = {clone, 0};
      changed = true;
    }
  }
  return changed;
}

}  // namespace cytodet::graph
