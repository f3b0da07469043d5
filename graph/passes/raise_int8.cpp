#include "graph/passes/raise_int8.h"

#include <algorithm>
#include <cmath>

#include "graph/passes/node_edits.h"
#include "graph/passes/passes.h"

namespace cytodet::graph {
namespace raise {
namespace {

// Ops that compute with quantized values or give them, apart from integer layers and QuantizeV2.
bool is_on_quantized_values(const std::string& op) {
  return (op.starts_with("Quantized") && !op.starts_with("QuantizedConv2DBackprop")) || op.starts_with("Requantiz") ||
         op == "QuantizeDownAndShrinkRange";
}

}  // namespace

Int8Rewriter::Int8Rewriter(Graph& graph, const Interface& io)
    : g_(graph), facts_(graph), frames_(graph), uses_(graph), outputs_(output_ids(graph, io)) {}

Value Int8Rewriter::add(const std::string& base, std::string op, std::vector<Value> inputs, AttrMap attrs) {
  attrs["T"] = DType::f32;
  return g_.add_new(base, std::move(op), std::move(inputs), std::move(attrs));
}

void Int8Rewriter::become_quantized(NodeId id, Value floats, const QuantParams& quant, const Ends& ends) {
  const std::string name = g_.node(id).name;
  const float scale = quant.scale;
  const Ends own = quant.zero_point ? ends : quant.is_signed ? Ends{-127 * scale, 127 * scale} : Ends{0, 255 * scale};
  const Value low = g_.add_const(name + "/min", Tensor::scalar(own.low)),
              high = g_.add_const(name + "/max", Tensor::scalar(own.high));
  const float tolerance = 1e-6f * own.top();
  if (std::abs(own.low - ends.low) > tolerance || std::abs(own.high - ends.high) > tolerance) {
    // Readers go by the range that was stated.
    g_.replace_uses({id, 1}, g_.add_const(name + "/stated_min", Tensor::scalar(ends.low)));
    g_.replace_uses({id, 2}, g_.add_const(name + "/stated_max", Tensor::scalar(ends.high)));
  }
  Node& n = g_.node(id);
  n.op = "QuantizeV2";
  n.inputs = {floats, low, high};
  n.attrs = {{"T", quant.is_signed ? DType::qint8 : DType::quint8},
             {"mode", std::string(quant.zero_point ? "MIN_FIRST" : "SCALED")},
             {"round_mode", std::string(quant.zero_point ? "HALF_AWAY_FROM_ZERO" : "HALF_TO_EVEN")},
             {"ensure_minimum_range", 0.0f}};
  if (quant.is_signed) n.attrs["narrow_range"] = true;
  quantized_by_value_[{id, 0}] = {floats, quant, ends};
  ends_[id] = ends;
  if (quant.zero_point) return;
  // One mode for the quantized values and back, where both mean the same.
  for (Consumers::Use use : uses_.of(Value{id, 0})) {
    Node& d = g_.node(use.node);
    const bool plain = d.op == "Dequantize" && use.input == 0 && d.inputs.size() == 3 && d.inputs[1] == Value{id, 1} &&
                       d.inputs[2] == Value{id, 2};
    if (plain && !quant.is_signed) d.attrs["mode"] = std::string("SCALED");
  }
}

bool Int8Rewriter::raise(NodeId id) {
  if (!g_.alive(id)) return false;
  const std::string op = g_.node(id).op;
  if (op == "QuantizeV2") {
    if (!quantized_by_value_.contains({id, 0})) note_quantize(id);
    return false;
  }
  const bool layer = integer_layer(g_.node(id)) || op.starts_with("_FusedQuantized");
  if (!layer && !is_on_quantized_values(op)) return false;
  const std::string name = g_.node(id).name;
  const Why why = layer ? raise_layer(id) : raise_map(id);
  if (why.empty()) return true;
  left_[id] = {name, op, why};
  // What turns the sums of a layer that stays into quantized values stays for its sake.
  if (const Node& n = g_.node(id); op.starts_with("Requantiz") && !n.inputs.empty())
    if (const auto of = left_.find(n.inputs[0].node); of != left_.end()) left_[id].why = "it belongs to " + of->second.name;
  note_range(id);
  return false;
}

}  // namespace raise

namespace {

std::map<NodeId, UnraisedNode> raise_all(Graph& g, const Interface& io, bool& changed) {
  const int before = g.capacity();
  raise::Int8Rewriter rewriter(g, io);
  for (NodeId id : g.topological_order()) changed = rewriter.raise(id) || changed;
  if (g.capacity() != before) sweep(g, io);
  return rewriter.left();
}

}  // namespace

std::vector<UnraisedNode> unraised_nodes(const Graph& graph, const Interface& io) {
  Graph g = graph;
  bool changed = false;
  std::vector<UnraisedNode> nodes;
  for (const auto& [id, node] : raise_all(g, io, changed))
    if (node.why == raise::kComputesRange || (g.alive(id) && g.node(id).op != "QuantizeV2")) nodes.push_back(node);
  return nodes;
}

bool pass_raise_int8(Graph& g, const Interface& io) {
  bool changed = false;
  raise_all(g, io, changed);
  return changed;
}

}  // namespace cytodet::graph
