// Integer layers and the Requantize behind them become one node, by Intel's names.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "graph/ir/integer_layer.h"
#include "graph/ir/op.h"
#include "pipeline/transform/eightbit.h"
#include "pipeline/transform/transforms.h"

namespace cytodet::pipeline {
namespace {

std::optional<float> number(const Graph& g, Value v) {
  const Tensor* t = g.constant(v);
  return t && t->size() == 1 ? std::optional(static_cast<float>(t->as_double())) : std::nullopt;
}

// The constant range that a layer reads its input by: given, or that of the node that made the quantized values.
std::optional<std::pair<float, float>> input_range(const Graph& g, Value low, Value high) {
  if (const auto a = number(g, low), b = number(g, high); a && b) return std::pair(*a, *b);
  const Node& n = g.node(low.node);
  if (low.slot != 1 || high.slot != 2 || low.node != high.node) return {};
  if (n.op == "QuantizeV2" && n.inputs.size() == 3) return input_range(g, n.inputs[1], n.inputs[2]);
  const auto layer = integer_layer(n);
  if (!layer || layer->result != IntegerLayer::Result::quantized || n.inputs.size() != layer->inputs) return {};
  const size_t at = static_cast<size_t>(layer->result_range);
  return input_range(g, n.inputs[at], n.inputs[at + 1]);
}

// A layer of 32-bit sums that one Requantize alone reads, with a constant range.
struct Pair {
  NodeId layer = -1, requantize = -1;
};

std::vector<Pair> pairs(const Graph& g, IntegerLayer::Product product, bool depthwise_too) {
  std::vector<Pair> found;
  const Consumers uses(g);
  for (NodeId id : g.topological_order()) {
    const Node& r = g.node(id);
    if ((r.op != "Requantize" && r.op != "RequantizePerChannel") || r.inputs.size() != 5) continue;
    if (!number(g, r.inputs[3]) || !number(g, r.inputs[4])) continue;
    const NodeId from = r.inputs[0].node;
    const Node& n = g.node(from);
    const auto layer = integer_layer(n);
    if (!layer || layer->result != IntegerLayer::Result::sums || n.inputs.size() != layer->inputs || n.op.starts_with("_"))
      continue;
    if (layer->product != product && !(depthwise_too && layer->product == IntegerLayer::Product::depthwise)) continue;
    const bool all = std::all_of(uses.of(from).begin(), uses.of(from).end(), [&](Consumers::Use use) { return use.node == id; });
    bool in_order = true;
    for (int slot = 0; slot < 3; ++slot) in_order &= r.inputs[static_cast<size_t>(slot)] == Value{from, slot};
    if (all && in_order) found.push_back({from, id});
  }
  return found;
}

// The fused op of a layer; empty: there is none. A summand of floats has no fused form.
std::string fused_op(const Node& n, bool signed_summand) {
  std::string op = n.op;
  if (op == "QuantizedDepthwiseConv2D" || op == "QuantizedDepthwiseConv2DWithBias" || op == "QuantizedConv2DPerChannel")
    return {};
  if (op == "QuantizedConv2DWithBiasSumAndRelu" && signed_summand) op = "QuantizedConv2DWithBiasSignedSumAndRelu";
  if (op == "QuantizedMatMul") return {};
  return op + "AndRequantize";
}

// Quantized values of a summand and their range, behind its Dequantize.
struct Summand {
  std::vector<Value> inputs;
  DType type;
};
std::optional<Summand> summand_of(const Graph& g, Value v) {
  const Node& d = g.node(v.node);
  if (d.op != "Dequantize" || d.inputs.size() != 3 || v.slot != 0) return {};
  const DType type = d.attr_or("T", DType::quint8);
  if (d.attr_or<std::string>("mode", "MIN_COMBINED") != "SCALED" || (type != DType::quint8 && type != DType::qint8)) return {};
  return Summand{d.inputs, type};
}

// Whether Requantize's quantized values mean what the fused op's do: steps from 0 on, of the range's larger end.
bool same_codes(const Graph& g, const Node& r) {
  if (r.op == "RequantizePerChannel") return true;
  const float low = *number(g, r.inputs[3]), high = *number(g, r.inputs[4]);
  return r.attr_or("out_type", DType::quint8) == DType::quint8 ? low == 0 : std::abs(low + high) <= 1e-6f * high;
}

// The bias as integers in units of the sums, for ops that take it so: empty where a range is not known.
std::optional<Tensor> whole_bias(const Graph& g, const Node& n, const IntegerLayer& l) {
  const Tensor* bias = l.bias < 0 ? nullptr : g.constant(n.inputs[static_cast<size_t>(l.bias)]);
  const size_t in = static_cast<size_t>(l.input_range), f = static_cast<size_t>(l.filter_range);
  const auto range = input_range(g, n.inputs[in], n.inputs[in + 1]);
  const Tensor *low = g.constant(n.inputs[f]), *high = g.constant(n.inputs[f + 1]), *filter = g.constant(n.inputs[1]);
  if (!bias || bias->dtype() != DType::f32 || !range || !low || !high || !filter || filter->dtype() != DType::qint8) return {};
  const bool matmul = l.product == IntegerLayer::Product::matmul;
  const bool is_signed = n.attr_or(matmul ? "T1" : "Tinput", DType::quint8) == DType::qint8;
  const bool first = matmul && !is_signed && n.attr_or<std::string>("input_quant_mode", "MIN_FIRST") == "MIN_FIRST";
  if (matmul && n.attr_or("transpose_b", false)) return {};
  const double top = std::max(std::abs(range->first), std::abs(range->second)),
               step = first ? (double{range->second} - range->first) / 255 : top / (is_signed ? 127 : 255);
  Tensor out(DType::qint32, bias->shape());
  for (int64_t c = 0; c < bias->size(); ++c) {
    const int64_t at = low->size() == 1 ? 0 : c;
    const double filter_step = std::max(std::abs(low->as_double(at)), std::abs(high->as_double(at))) / 127;
    if (!(step * filter_step > 0)) return {};
    double v = bias->as_double(c) / (step * filter_step);
    for (int64_t i = c; first && i < filter->size(); i += bias->size()) v += filter->as_double(i) * range->first / step;
    if (!(std::abs(v) < 2147483647.0)) return {};
    out.data<int32_t>()[c] = static_cast<int32_t>(std::nearbyint(v));
  }
  return out;
}

// The fused node takes the Requantize's name.
void fuse(Graph& g, const Pair& pair) {
  const Node n = g.node(pair.layer);
  const Node r = g.node(pair.requantize);
  const IntegerLayer layer = *integer_layer(n);
  std::optional<Summand> summand;
  if (layer.summand >= 0 && !(summand = summand_of(g, n.inputs[static_cast<size_t>(layer.summand)]))) return;
  const std::string op = fused_op(n, summand && summand->type == DType::qint8);
  if (op.empty() || !same_codes(g, r)) return;
  Node fused = n;
  fused.op = op;
  if (layer.summand >= 0) fused.inputs.erase(fused.inputs.begin() + layer.summand);
  fused.inputs.push_back(r.inputs[3]);
  fused.inputs.push_back(r.inputs[4]);
  if (summand) {
    fused.inputs.insert(fused.inputs.end(), summand->inputs.begin(), summand->inputs.end());
    fused.attrs["Tsummand"] = summand->type;
  }
  const bool matmul = layer.product == IntegerLayer::Product::matmul;
  if (layer.bias >= 0) fused.attrs["Tbias"] = DType::f32;
  // Behind another integer layer the range of the input is known, and with it the bias in units of the sums.
  const auto before = integer_layer(g.node(n.inputs[0].node));
  const bool chained = before && before->result == IntegerLayer::Result::quantized;
  if (std::optional<Tensor> whole = (chained || matmul) ? whole_bias(g, n, layer) : std::nullopt) {
    fused.inputs[static_cast<size_t>(layer.bias)] = g.add_const(n.name + "/bias_codes", std::move(*whole));
    fused.attrs["Tbias"] = DType::qint32;
  }
  if (r.attr_or("_observed", false)) fused.attrs["_observed"] = true;
  fused.attrs[matmul ? "Toutput" : "out_type"] = r.attr_or("out_type", layer.relu ? DType::quint8 : DType::qint8);
  for (const char* internal : {"data_format", "is_filter_const", "is_bias_const"}) fused.attrs.erase(internal);
  fused.controls.insert(fused.controls.end(), r.controls.begin(), r.controls.end());
  Node& to = g.node(pair.requantize);
  const std::string name = to.name;
  to = std::move(fused);
  to.name = name;
  g.remove(pair.layer);
}

// The layers whose quantized values reach v through pools and concatenations; false where something else gives them.
bool feeding_layers(const Graph& g, Value v, std::set<NodeId>& layers, int depth = 0) {
  const Node& n = g.node(v.node);
  if (v.slot != 0 || depth > 64) return false;
  if (const auto layer = integer_layer(n)) {
    layers.insert(v.node);
    return layer->result == IntegerLayer::Result::quantized && n.inputs.size() == layer->inputs;
  }
  if (n.op == "QuantizedMaxPool" || n.op == "QuantizedAvgPool") return feeding_layers(g, n.inputs[0], layers, depth + 1);
  if (n.op != "QuantizedConcatV2" || n.inputs.size() < 4) return false;
  for (size_t i = 0; i < (n.inputs.size() - 1) / 3; ++i)
    if (!feeding_layers(g, n.inputs[i], layers, depth + 1)) return false;
  return true;
}

}  // namespace

void transform_fuse_quantized_conv_and_requantize(TransformContext& c) {
  const std::set<NodeId> kept = kept_nodes(c);
  for (const Pair& pair : pairs(c.graph, IntegerLayer::Product::conv, true))
    if (!kept.contains(pair.layer)) fuse(c.graph, pair);
}

void transform_fuse_quantized_matmul_and_requantize(TransformContext& c) {
  const std::set<NodeId> kept = kept_nodes(c);
  for (const Pair& pair : pairs(c.graph, IntegerLayer::Product::matmul, false))
    if (!kept.contains(pair.layer)) fuse(c.graph, pair);
}

// Gives all layers that a concatenation reads the widest of their ranges, so that their quantized values can be joined as they
// are.
void transform_rerange_quantized_concat(TransformContext& c) {
  Graph& g = c.graph;
  for (NodeId id : g.topological_order()) {
    std::set<NodeId> layers;
    if (g.node(id).op != "QuantizedConcatV2" || !feeding_layers(g, {id, 0}, layers)) continue;
    std::optional<std::pair<float, float>> range;
    bool known = true;
    for (NodeId layer : layers) {
      const auto own = input_range(g, {layer, 1}, {layer, 2});
      known &= own.has_value();
      if (own) range = range ? std::pair(std::min(range->first, own->first), std::max(range->second, own->second)) : *own;
    }
    if (!known || !range) continue;
    const std::string name = g.node(id).name;
    const Value low = g.add_const(name + "/rerange_min", Tensor::scalar(range->first)),
                high = g.add_const(name + "/rerange_max", Tensor::scalar(range->second));
    for (NodeId layer : layers) {
      const size_t at = static_cast<size_t>(integer_layer(g.node(layer))->result_range);
      g.node(layer).inputs[at] = low;
      g.node(layer).inputs[at + 1] = high;
    }
  }
}

void transform_quantize_nodes(TransformContext& c) {
  for (const char* unused : {"input_min", "input_max"})
    if (!c.call.one(unused, "").empty()) throw Error(c.call.name, std::string("takes no ") + unused + ": inputs stay floats");
  EightbitOptions options;
  options.outputs = c.interface.outputs;
  const std::string low = c.call.one("fallback_min", ""), high = c.call.one("fallback_max", "");
  if (low.empty() != high.empty()) throw Error(c.call.name, "needs fallback_min and fallback_max, or neither");
  if (!low.empty())
    options.fallback = {static_cast<float>(c.call.number("fallback_min", 0)),
                        static_cast<float>(c.call.number("fallback_max", 0))};
  to_eightbit(c.graph, options);
}

}  // namespace cytodet::pipeline
