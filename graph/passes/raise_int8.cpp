#include <algorithm>
#include <cmath>

#include "graph/ir/frames.h"
#include "graph/passes/passes.h"
#include "graph/passes/tf_int8.h"

namespace cytodet::graph {
namespace {

// An integer convolution with constant filter and ranges.
struct Site {
  bool depthwise = false, relu = false;
  bool is_signed = false;
  double scale = 1;  // of the quantized input
  QuantizedWeights weights;
  std::vector<double> bias;
  float top = 0;  // of the result's range
};

std::optional<double> top_of(const Graph& g, Value low, Value high) {
  const Tensor *a = g.constant(low), *b = g.constant(high);
  if (!a || !b || a->size() != 1 || b->size() != 1) return {};
  const double top = std::max(std::abs(a->as_double()), std::abs(b->as_double()));
  return std::isfinite(top) && top > 0 ? std::optional<double>(top) : std::nullopt;
}

// The range of the quantized values: given, or that of the QuantizeV2 that makes them.
std::optional<double> input_top(const Graph& g, Value quantized, Value low, Value high) {
  const Node& q = g.node(quantized.node);
  if (q.op == "QuantizeV2" && q.inputs.size() == 3 && low == Value{quantized.node, 1} && high == Value{quantized.node, 2})
    return top_of(g, q.inputs[1], q.inputs[2]);
  return top_of(g, low, high);
}

// What is fused, in order; empty when the node is no integer convolution that can be raised.
std::vector<std::string> fused_ops(const Node& n) {
  if (n.op == "_FusedQuantizedConv2D" || n.op == "_FusedQuantizedDepthwiseConv2D")
    return n.attr_or("fused_ops", AttrList{}).strings;
  const std::string rest = n.op.starts_with("QuantizedConv2D")            ? n.op.substr(15)
                           : n.op.starts_with("QuantizedDepthwiseConv2D") ? n.op.substr(24)
                                                                          : "";
  if (rest == "WithBiasAndRequantize") return {"BiasAdd", "Requantize"};
  if (rest == "WithBiasAndReluAndRequantize") return {"BiasAdd", "Relu", "Requantize"};
  return {};
}

std::optional<QuantizedWeights> weights_of(const Graph& g, Value filter, Value low, Value high, int64_t channels) {
  if (const Node& neg = g.node(low.node); neg.op == "Neg" && neg.inputs.size() == 1) low = neg.inputs[0];
  const Tensor *quantized = g.constant(filter), *lo = g.constant(low), *hi = g.constant(high);
  if (!quantized || !lo || !hi || quantized->dtype() != DType::qint8 || lo->size() != hi->size()) return {};
  if (lo->size() != 1 && lo->size() != channels) return {};
  QuantizedWeights w{quantized->bitcast(DType::i8), {}};
  for (int64_t i = 0; i < lo->size(); ++i)
    w.scales.push_back(static_cast<float>(std::max(std::abs(lo->as_double(i)), std::abs(hi->as_double(i))) / 127));
  return w;
}

std::optional<Site> site_at(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  const std::vector<std::string> ops = fused_ops(n);
  const bool biased = !ops.empty() && ops.front() == "BiasAdd";
  const size_t at = biased ? 3 : 2;
  if (ops.empty() || n.inputs.size() != at + 6 || ops.back() != "Requantize") return {};
  Site s;
  s.relu = std::find(ops.begin(), ops.end(), "Relu") != ops.end();
  if (ops.size() != size_t{1} + biased + s.relu) return {};
  if (n.attr_or<std::string>("data_format", "NHWC") != "NHWC") return {};
  const Tensor* filter = g.constant(n.inputs[1]);
  if (!filter || filter->rank() != 4) return {};
  s.depthwise = n.op.find("Depthwise") != std::string::npos;
  const int64_t channels = s.depthwise ? filter->dim(2) * filter->dim(3) : filter->dim(3);
  auto weights = weights_of(g, n.inputs[1], n.inputs[at + 2], n.inputs[at + 3], channels);
  auto in = input_top(g, n.inputs[0], n.inputs[at], n.inputs[at + 1]), out = top_of(g, n.inputs[at + 4], n.inputs[at + 5]);
  if (!weights || !in || !out) return {};
  s.is_signed = n.attr_or("Tinput", DType::quint8) == DType::qint8;
  s.scale = static_cast<float>(*in / (s.is_signed ? 127 : 255));
  s.top = static_cast<float>(*out);
  s.weights = std::move(*weights);
  s.bias.assign(static_cast<size_t>(channels), 0);
  const Tensor* bias = biased ? g.constant(n.inputs[2]) : nullptr;
  if (biased && (!bias || bias->size() != channels)) return {};
  for (size_t c = 0; bias && c < s.bias.size(); ++c) {
    const double w = s.weights.scales[s.weights.scales.size() == 1 ? 0 : c];
    s.bias[c] = bias->as_double(static_cast<int64_t>(c)) * (bias->dtype() == DType::qint32 ? s.scale * w : 1);
  }
  return s;
}

// The float value behind the quantized one, and the paddings in front of that.
struct Source {
  Value value;
  QuantParams quant;
  std::array<int64_t, 4> pads{};
};

bool all_zero(const std::array<int64_t, 4>& pads) { return *std::max_element(pads.begin(), pads.end()) == 0; }

// x in PadV2(x) with zeros around a map: changes source. Other pads stay where they are, which is only right without a zero
// point.
void look_behind_pad(const Graph& g, Source& source) {
  const Node& pad = g.node(source.value.node);
  if (!(pad.op == "Pad" && pad.inputs.size() == 2) && !(pad.op == "PadV2" && pad.inputs.size() == 3)) return;
  const Tensor *sizes = g.constant(pad.inputs[1]), *value = pad.op == "PadV2" ? g.constant(pad.inputs[2]) : nullptr;
  if (!sizes || sizes->size() != 8 || (pad.op == "PadV2" && (!value || value->size() != 1 || value->as_double() != 0))) return;
  const std::vector<int64_t> p = sizes->as_ints();
  if (p[0] || p[1] || p[6] || p[7] || *std::min_element(p.begin(), p.end()) < 0) return;
  std::copy(p.begin() + 2, p.begin() + 6, source.pads.begin());
  source.value = pad.inputs[0];
}

// x in AddV2(x, zero_point * scale): quantized values with a zero point. False when the sum is another one.
bool look_behind_shift(const Graph& g, Source& source) {
  const Node& add = g.node(source.value.node);
  if (add.op != "AddV2" || add.inputs.size() != 2 || source.quant.is_signed || source.value.slot != 0) return false;
  const Tensor* shift = g.constant(add.inputs[1]);
  if (!shift || shift->size() != 1 || shift->dtype() != DType::f32) return false;
  const double z = shift->as_double() / source.quant.scale, rounded = std::nearbyint(z);
  if (rounded < 1 || rounded > 255 || std::abs(z - rounded) > 1e-3) return false;
  source.quant.zero_point = static_cast<int>(rounded);
  source.value = add.inputs[0];
  return true;
}

// What a Dequantize of a result adds to the quantized values times their scale; empty when it reads them in another way.
std::optional<double> offset_of(const Graph& g, const Node& d, NodeId fused, double top) {
  if (d.op != "Dequantize" || d.inputs.size() != 3 || d.inputs[0] != Value{fused, 0}) return {};
  if (d.inputs[1] == Value{fused, 1} && d.inputs[2] == Value{fused, 2}) return 0;
  const Tensor *low = g.constant(d.inputs[1]), *high = g.constant(d.inputs[2]);
  if (!low || !high || low->size() != 1 || high->size() != 1) return {};
  const double a = low->as_double(), b = high->as_double();
  const bool scaled = d.attr_or<std::string>("mode", "MIN_COMBINED") == "SCALED";
  if (!scaled && d.attr_or("T", DType::quint8) != DType::quint8) return {};
  const double range = scaled ? std::max(std::abs(a), std::abs(b)) : b - a;
  return std::abs(range - top) <= 1e-5 * top ? std::optional<double>(scaled ? 0 : a) : std::nullopt;
}

class Importer {
 public:
  Importer(Graph& graph, const Interface& io)
      : g_(graph), facts_(graph), frames_(graph), uses_(graph), outputs_(output_ids(graph, io)) {}
  bool raise(NodeId id);  // true when another node now reads the result

 private:
  // Whether a node or one of its constants waits for others: what takes its place would not.
  bool waits(NodeId id) const {
    const auto held = [&](Value v) { return g_.constant(v) && !g_.node(v.node).controls.empty(); };
    const Node& n = g_.node(id);
    return !n.controls.empty() || std::any_of(n.inputs.begin(), n.inputs.end(), held);
  }
  bool agree(NodeId a, NodeId b) const { return frames_.agree(Value{a, 0}, b); }
  std::optional<Source> source_of(const Node& n, const Site& site) const;
  NodeId linear(NodeId fused, const Site& site, const Source& source);
  void set_padding(Node& conv, const Node& old, const Shape& filter, const Source& source) const;
  Value add(const std::string& base, std::string op, std::vector<Value> inputs) {
    Node n;
    n.name = g_.unique_name(base);
    n.op = std::move(op);
    n.inputs = std::move(inputs);
    n.attrs["T"] = DType::f32;
    return {g_.add(std::move(n)), 0};
  }
  void give(NodeId fused, const std::vector<NodeId>& readers, Value result);
  Value with_bias(Value linear, const Site& site, const Source& source, double offset);

  Graph& g_;
  const Facts facts_;
  const Frames frames_;
  const Consumers uses_;
  const std::set<NodeId> outputs_;
  std::map<Value, Value> raised_;  // quantized value -> the raised convolution that made them
};

std::optional<Source> Importer::source_of(const Node& n, const Site& site) const {
  Source s{n.inputs[0], {static_cast<float>(site.scale), 0, site.is_signed}};
  if (auto it = raised_.find(n.inputs[0]); it != raised_.end()) {
    s.value = it->second;
    return s;
  }
  const Node& q = g_.node(n.inputs[0].node);
  if (q.op != "QuantizeV2" || n.inputs[0].slot != 0 || q.inputs.size() != 3 || waits(n.inputs[0].node)) return {};
  const Tensor *low = g_.constant(q.inputs[1]), *high = g_.constant(q.inputs[2]);
  if (!low || !high || low->size() != 1 || high->size() != 1) return {};
  const bool scaled = q.attr_or<std::string>("mode", "MIN_COMBINED") == "SCALED";
  if (!scaled && (site.is_signed || low->as_double() != 0)) return {};
  const double top = site.is_signed ? std::max(std::abs(low->as_double()), std::abs(high->as_double())) : high->as_double();
  if (std::abs(top / (site.is_signed ? 127 : 255) - site.scale) > 1e-5 * site.scale) return {};
  s.value = q.inputs[0];
  Source shifted = s;
  // Padding by the convolution itself pads with the quantized value 0, which means another float than 0 where there is a zero
  // point.
  const auto own = paddings_of(n, site.weights.values.shape(), facts_.of(n.inputs[0]).shape);
  if (own && all_zero(*own) && n.attr_or("padding_list", AttrList{}).ints.empty() && !waits(s.value.node) &&
      look_behind_shift(g_, shifted)) {
    if (!waits(shifted.value.node)) look_behind_pad(g_, shifted);
    return shifted;
  }
  return s;
}

// SAME where it means the paddings that were in front of QuantizeV2.
void Importer::set_padding(Node& conv, const Node& old, const Shape& filter, const Source& source) const {
  for (const char* kept : {"strides", "padding", "explicit_paddings", "dilations"})
    if (auto it = old.attrs.find(kept); it != old.attrs.end()) conv.attrs.insert_or_assign(kept, it->second);
  AttrList list = old.attr_or("padding_list", AttrList{});
  if (!all_zero(source.pads)) {
    conv.attrs["padding"] = "SAME";
    if (paddings_of(conv, filter, facts_.of(source.value).shape) == source.pads) return;
    list.ints = {0, 0, source.pads[0], source.pads[1], source.pads[2], source.pads[3], 0, 0};
  }
  if (list.ints.size() != 8) return;
  conv.attrs["padding"] = "EXPLICIT";
  conv.attrs["explicit_paddings"] = list;
}

NodeId Importer::linear(NodeId fused, const Site& site, const Source& source) {
  const Node old = g_.node(fused);
  std::string name = old.name;
  for (const char* tail : {"_eightbit_requantize", "_eightbit_quantized_conv", "_eightbit_quantized_depthwise_conv"})
    if (name.ends_with(tail)) name.resize(name.size() - std::char_traits<char>::length(tail));
  if (name == old.name && !outputs_.contains(fused)) g_.rename(fused, g_.unique_name(name + "_codes"));
  const NodeId conv = add(name, site.depthwise ? "DepthwiseConv2dNative" : "Conv2D", {source.value, source.value}).node;
  g_.node(conv).attrs["data_format"] = "NHWC";
  g_.node(conv).controls = old.controls;
  set_padding(g_.node(conv), old, site.weights.values.shape(), source);
  set_quantized(g_, conv, source.quant, site.weights);
  return conv;
}

// Every Dequantize of the quantized result becomes the result itself; the first takes over its last node.
void Importer::give(NodeId fused, const std::vector<NodeId>& readers, Value result) {
  bool taken = false;
  for (NodeId reader : readers) {
    Node& d = g_.node(reader);
    d.attrs.clear();
    if (taken) {
      d.op = "Identity";
      d.attrs["T"] = DType::f32;
      d.inputs = {result};
      if (!outputs_.contains(reader)) g_.replace_uses({reader, 0}, result);
      continue;
    }
    const Node last = g_.node(result.node);
    d.op = last.op;
    d.inputs = last.inputs;
    d.attrs = last.attrs;
    d.controls.insert(d.controls.end(), last.controls.begin(), last.controls.end());
    g_.remove(result.node);
    result = {reader, 0};
    taken = true;
  }
  raised_[{fused, 0}] = result;
}

// The bias without what it compensated.
Value Importer::with_bias(Value linear, const Site& site, const Source& source, double offset) {
  const std::string name = g_.node(linear.node).name;
  const int64_t channels = static_cast<int64_t>(site.bias.size());
  const std::vector<double> sums = zero_point_sums(source.quant, site.weights, channels);
  std::vector<float> bias;
  for (size_t c = 0; c < sums.size(); ++c) {
    const double b = site.bias[c] + sums[c] + offset;
    // What is left when all of a float32 was compensation is its rounding.
    bias.push_back(std::abs(b) <= std::ldexp(std::abs(sums[c]) + std::abs(offset), -24) ? 0.0f : static_cast<float>(b));
  }
  if (std::all_of(bias.begin(), bias.end(), [](float b) { return b == 0; })) return linear;
  const Value sum = add(name + "/bias_add", "BiasAdd", {linear, g_.add_const(name + "/bias", Tensor::from({channels}, bias))});
  g_.node(sum.node).attrs["data_format"] = "NHWC";
  return sum;
}

bool Importer::raise(NodeId id) {
  // In loops new constants would have to wait for the loop.
  if (frames_.frame(id) != 0) return false;
  const std::optional<Site> site = site_at(g_, id);
  if (!site || waits(id)) return false;
  const Node old = g_.node(id);
  const std::optional<Source> source = source_of(old, *site);
  if (!source) return false;
  std::vector<NodeId> readers;
  double offset = 0;
  bool chained = false;
  for (Consumers::Use use : uses_.of(Value{id, 0})) {
    chained = chained || (use.input == 0 && !fused_ops(g_.node(use.node)).empty());
    const std::optional<double> o = offset_of(g_, g_.node(use.node), id, site->top);
    if (!o || (site->relu && *o != 0) || (!readers.empty() && *o != offset)) continue;
    if (waits(use.node) || !agree(id, use.node)) return false;
    offset = *o;
    readers.push_back(use.node);
  }
  if (readers.empty() && !chained) return false;
  const Value product{linear(id, *site, *source), 0};
  const std::string name = g_.node(product.node).name;
  Value result = with_bias(product, *site, *source, offset);
  const bool six = site->top == 6 || old.attr_or<std::string>("_activation", "") == "Relu6";
  if (site->relu) result = add(name + "/relu", six ? "Relu6" : "Relu", {result});
  give(id, readers, result);
  if (offset != 0) raised_.erase({id, 0});
  return !readers.empty();
}

}  // namespace

bool pass_raise_int8(Graph& g, const Interface& io) {
  const int before = g.capacity();
  Importer raiser(g, io);
  bool changed = false;
  for (NodeId id : g.topological_order()) changed = raiser.raise(id) || changed;
  if (g.capacity() != before) sweep(g, io);
  return changed;
}

}  // namespace cytodet::graph
