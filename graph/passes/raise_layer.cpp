#include <algorithm>
#include <cmath>

#include "graph/ir/conv_node.h"
#include "graph/passes/raise_int8.h"
#include "graph/passes/tf_int8.h"

namespace cytodet::graph::raise {
namespace {

bool all_zero(const std::array<int64_t, 4>& pads) { return *std::max_element(pads.begin(), pads.end()) == 0; }

// What a Dequantize of a result adds to the quantized values times their scale; empty when it reads them in another way.
std::optional<double> offset_of(const Graph& g, const Node& d, NodeId quantized, double top) {
  if (d.op != "Dequantize" || d.inputs.size() != 3 || d.inputs[0] != Value{quantized, 0}) return {};
  if (d.inputs[1] == Value{quantized, 1} && d.inputs[2] == Value{quantized, 2}) return 0;
  const Tensor *low = g.constant(d.inputs[1]), *high = g.constant(d.inputs[2]);
  if (!low || !high || low->size() != 1 || high->size() != 1) return {};
  const double a = low->as_double(), b = high->as_double();
  const bool scaled = d.attr_or<std::string>("mode", "MIN_COMBINED") == "SCALED";
  if (!scaled && d.attr_or("T", DType::quint8) != DType::quint8) return {};
  const double range = scaled ? std::max(std::abs(a), std::abs(b)) : b - a;
  return std::abs(range - top) <= 1e-5 * top ? std::optional<double>(scaled ? 0 : a) : std::nullopt;
}

bool close(double a, double b) { return std::abs(a - b) <= 1e-5 * std::abs(b); }

// Sums of the weights' quantized values of each output channel.
std::vector<double> code_sums(const QuantizedWeights& weights, size_t channels) {
  std::vector<double> sums(channels, 0);
  const int8_t* values = weights.values.data<int8_t>();
  for (int64_t i = 0; i < weights.values.size(); ++i) sums[static_cast<size_t>(i) % channels] += values[i];
  return sums;
}

}  // namespace

// x in PadV2(x) with zeros around a map: changes source. Other pads stay where they are, which is only right without a zero
// point.
void Raiser::look_behind_pad(Source& source) const {
  const Node& pad = g_.node(source.value.node);
  if (!(pad.op == "Pad" && pad.inputs.size() == 2) && !(pad.op == "PadV2" && pad.inputs.size() == 3)) return;
  const Tensor *sizes = g_.constant(pad.inputs[1]), *value = pad.op == "PadV2" ? g_.constant(pad.inputs[2]) : nullptr;
  if (!sizes || sizes->size() != 8 || (pad.op == "PadV2" && (!value || value->size() != 1 || value->as_double() != 0))) return;
  const std::vector<int64_t> p = sizes->as_ints();
  if (p[0] || p[1] || p[6] || p[7] || *std::min_element(p.begin(), p.end()) < 0) return;
  std::copy(p.begin() + 2, p.begin() + 6, source.pads.begin());
  source.value = pad.inputs[0];
}

// x in AddV2(x, zero_point * scale) in front of QuantizeV2: quantized values with a zero point. False when the sum is another
// one.
bool Raiser::look_behind_shift(const Site& site, Source& source) const {
  const Node& add = g_.node(source.value.node);
  if (add.op != "AddV2" || add.inputs.size() != 2 || source.quant.is_signed || source.value.slot != 0) return false;
  if (source.quant.zero_point || pads(site) || waits(source.value.node)) return false;
  const Tensor* shift = g_.constant(add.inputs[1]);
  if (!shift || shift->size() != 1 || shift->dtype() != DType::f32) return false;
  const double z = shift->as_double() / source.quant.scale, rounded = std::nearbyint(z);
  if (rounded < 1 || rounded > 255 || std::abs(z - rounded) > 1e-3) return false;
  source.quant.zero_point = static_cast<int>(rounded);
  source.value = add.inputs[0];
  return true;
}

// Whether the layer pads its input, or may.
bool Raiser::pads(const Site& site) const {
  if (site.layer.product == IntegerLayer::Product::matmul) return false;
  const Node& n = g_.node(site.node);
  const auto own = paddings_of(with_explicit_padding(n), site.weights.values.shape(), facts_.of(n.inputs[0]).shape);
  return !own || !all_zero(*own);
}

std::optional<Raiser::Source> Raiser::source_of(const Site& site) {
  const Value quantized = g_.node(site.node).inputs[0];
  if (site.computes_range) {
    if (!frames_.agree(quantized, site.node)) return {};
    const auto known = numbers_.find(quantized);
    if (known != numbers_.end()) return Source{known->second, {}};
    AttrMap attrs{{"T", site.is_signed ? DType::qint8 : DType::quint8}, {"mode", std::string("SCALED")}};
    if (site.is_signed) attrs["narrow_range"] = true;
    const Value numbers = g_.add_new(g_.node(quantized.node).name + "/numbers", "Dequantize",
                                     {quantized, {quantized.node, 1}, {quantized.node, 2}}, attrs);
    return Source{numbers_[quantized] = numbers, {}};
  }
  const auto it = quantized_by_value_.find(quantized);
  if (it == quantized_by_value_.end()) {
    // Quantized values of elsewhere: their numbers, which are quantized values again where the layer reads them.
    if (g_.constant(quantized) || !frames_.agree(quantized, site.node)) return {};
    const Ends e = site.min_first ? site.input : Ends{site.is_signed ? -site.input.top() : 0, site.input.top()};
    AttrMap attrs{{"T", site.is_signed ? DType::qint8 : DType::quint8},
                  {"mode", std::string(site.min_first ? "MIN_COMBINED" : "SCALED")}};
    const std::string name = g_.node(site.node).name;
    const Value low = g_.add_const(name + "/input_min", Tensor::scalar(e.low)),
                high = g_.add_const(name + "/input_max", Tensor::scalar(e.high));
    const int zero_point = site.min_first ? static_cast<int>(std::clamp(-std::round(e.low / site.step), 0.0, 255.0)) : 0;
    return Source{g_.add_new(name + "/input", "Dequantize", {quantized, low, high}, attrs),
                  {static_cast<float>(site.step), zero_point, site.is_signed}};
  }
  Source s{it->second.x, it->second.quant};
  if (s.quant.is_signed != site.is_signed) return {};
  if (close(s.quant.scale, site.step)) s.quant.scale = static_cast<float>(site.step);
  const Value before = s.value;
  const Node& q = g_.node(quantized.node);
  if (q.op == "QuantizeV2" && q.inputs[0] == before && look_behind_shift(site, s) && !waits(s.value.node)) look_behind_pad(s);
  return s;
}

std::optional<Value> Raiser::summand_of(const Site& site) {
  const Node& n = g_.node(site.node);
  const Value v = n.inputs[static_cast<size_t>(site.layer.summand)];
  if (site.layer.summand_range < 0) return v;
  const size_t at = static_cast<size_t>(site.layer.summand_range);
  const auto ends = ends_of(n.inputs[at], n.inputs[at + 1]);
  if (!ends) return {};
  const DType type = n.attr_or("Tsummand", DType::quint8);
  if (type != DType::quint8 && type != DType::qint8) return {};
  const double step = ends->top() / (type == DType::qint8 ? 127 : 255);
  if (const auto it = quantized_by_value_.find(v); it != quantized_by_value_.end()) {
    const QuantParams& q = it->second.quant;
    if (q.zero_point || q.is_signed != (type == DType::qint8) || !close(q.scale, step)) return {};
    return add_fake_quant(g_, it->second.x, q);
  }
  if (!frames_.agree(v, site.node)) return {};
  const std::string name = n.name;
  const Value low = g_.add_const(name + "/summand_min", Tensor::scalar(type == DType::qint8 ? -ends->top() : 0.0f)),
              high = g_.add_const(name + "/summand_max", Tensor::scalar(ends->top()));
  return g_.add_new(name + "/summand", "Dequantize", {v, low, high}, {{"T", type}, {"mode", std::string("SCALED")}});
}

// The quantized values of v, of a node that stays too; empty where they have no constant range from 0 on.
std::optional<QuantizedSource> Raiser::quantized_source(Value v, const Ends& ends, DType type) {
  if (const auto it = quantized_by_value_.find(v); it != quantized_by_value_.end()) return it->second;
  if (!ends_.contains(v.node) || v.slot != 0 || (type != DType::quint8 && type != DType::qint8)) return {};
  const bool is_signed = type == DType::qint8;
  if (!is_signed && ends.low < -1e-6f * ends.high) return {};
  const std::string name = g_.node(v.node).name;
  const Value low = g_.add_const(name + "/numbers_min", Tensor::scalar(is_signed ? -ends.top() : 0.0f)),
              high = g_.add_const(name + "/numbers_max", Tensor::scalar(ends.top()));
  const Value numbers =
      g_.add_new(name + "/numbers", "Dequantize", {v, low, high}, {{"T", type}, {"mode", std::string("SCALED")}});
  return quantized_by_value_[v] = {numbers, {ends.top() / static_cast<float>(is_signed ? 127 : 255), 0, is_signed}, ends};
}

// SAME where it means the paddings that were in front of QuantizeV2.
void Raiser::set_padding(Node& conv, const Node& old, const Shape& filter, const Source& source) const {
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

NodeId Raiser::add_product(const Site& site, const Source& source) {
  const Node old = g_.node(site.node);
  std::string name = old.name;
  for (const char* tail :
       {"_eightbit_requantize", "_eightbit_quantized_conv", "_eightbit_quantized_depthwise_conv", "_eightbit_quantized_mat_mul"})
    if (name.ends_with(tail)) name.resize(name.size() - std::char_traits<char>::length(tail));
  if (name == old.name && !outputs_.contains(site.node)) g_.rename(site.node, g_.unique_name(name + "_codes"));
  using Product = IntegerLayer::Product;
  const bool matmul = site.layer.product == Product::matmul;
  const char* op = matmul ? "MatMul" : site.layer.product == Product::conv ? "Conv2D" : "DepthwiseConv2dNative";
  const NodeId product = add(name, op, {source.value, source.value}).node;
  g_.node(product).controls = old.controls;
  if (!matmul) {
    g_.node(product).attrs["data_format"] = "NHWC";
    set_padding(g_.node(product), old, site.weights.values.shape(), source);
  }
  if (site.computes_range) {  // the same numbers as of integers, each product rounded as a float
    g_.node(product).inputs[1] = g_.add_const(name + "/filter", dequantize_weights(site.weights));
    return product;
  }
  // Quantized values that the layer reads with another step than they were made with.
  QuantizedWeights weights = site.weights;
  if (!close(source.quant.scale, site.step))
    for (float& s : weights.scales) s = static_cast<float>(s * (site.step / source.quant.scale));
  set_quantized(g_, product, source.quant, weights);
  return product;
}

// The bias, with what a zero point adds that is not the number 0.
Value Raiser::with_bias(Value product, const Site& site, const Source& source, double offset) {
  const std::string name = g_.node(product.node).name;
  const double at_zero = (site.min_first && !site.whole_bias ? double{site.input.low} : 0) +
                         static_cast<double>(source.quant.zero_point) * site.step;
  const std::vector<double> sums = code_sums(site.weights, site.bias.size());
  std::vector<float> bias;
  for (size_t c = 0; c < sums.size(); ++c) {
    const double moved = at_zero * site.weights.scale_of(c) * sums[c], b = site.bias[c] + moved + offset;
    // What is left when all of a float32 was compensation is its rounding.
    bias.push_back(std::abs(b) <= std::ldexp(std::abs(moved) + std::abs(offset), -24) ? 0.0f : static_cast<float>(b));
  }
  if (std::all_of(bias.begin(), bias.end(), [](float b) { return b == 0; })) return product;
  const Value values = g_.add_const(name + "/bias", Tensor::from({static_cast<int64_t>(bias.size())}, bias));
  return add(name + "/bias_add", "BiasAdd", {product, values}, {{"data_format", std::string("NHWC")}});
}

std::vector<NodeId> Raiser::readers_of_numbers(const Site& site, double& offset) const {
  std::vector<NodeId> readers;
  std::set<NodeId> others;
  for (Consumers::Use use : uses_.of(site.last)) {
    const std::optional<double> o = offset_of(g_, g_.node(use.node), site.last, site.result_ends.top());
    if (use.input == 0 && o && !(site.layer.relu && *o != 0) && (readers.empty() || *o == offset) && !waits(use.node) &&
        frames_.agree(Value{site.last, 0}, use.node)) {
      offset = *o;
      readers.push_back(use.node);
    } else {
      others.insert(use.node);
    }
  }
  for (NodeId reader : readers) others.erase(reader);
  // Quantized values that others read are of numbers without the offset.
  if (offset != 0 && !others.empty()) {
    offset = 0;
    return {};
  }
  return readers;
}

// Every Dequantize of the quantized values becomes the numbers themselves; the first takes over their last node.
void Raiser::give(const std::vector<NodeId>& readers, Value& result) {
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
}

Why Raiser::raise_layer(NodeId id) {
  Site site;
  if (Why why = read_site(id, site); !why.empty()) return why;
  const UnraisedNode old{g_.node(id).name, g_.node(id).op, kComputesRange};
  const std::optional<Source> source = source_of(site);
  if (!source) return "its input is constant or of other quantized values";
  // Padding by the layer itself pads with the quantized value 0.
  if (source->quant.zero_point && all_zero(source->pads) && pads(site)) return "its padding is another number than 0";
  std::optional<Value> summand;
  if (site.layer.summand >= 0 && !(summand = summand_of(site)))
    return "its summand has a range that is not known or a zero point";

  const bool six =
      site.layer.relu && (site.result_ends.top() == 6 || g_.node(id).attr_or<std::string>("_activation", "") == "Relu6");
  double offset = 0;
  std::vector<NodeId> readers;
  if (site.layer.result != IntegerLayer::Result::floats) readers = readers_of_numbers(site, offset);
  // A range that was chosen cuts off what lies beyond it: its readers get numbers of quantized values. Those that begin at an
  // offset are quantized values with a zero point.
  const bool cut = !site.observed && !six;
  const QuantParams shifted{site.result.scale, static_cast<int>(std::clamp(-std::round(offset / site.result.scale), -1.0, 256.0)),
                            false};
  if (cut && (offset == 0 || shifted.zero_point < 0 || shifted.zero_point > 255)) {
    readers.clear();
    offset = 0;
  }

  if (site.computes_range) left_[site.last] = old;
  const Value product{add_product(site, *source), 0};
  const std::string name = g_.node(product.node).name;
  Value result = with_bias(product, site, *source, offset);
  if (summand) result = add(name + "/sum", "AddV2", {result, *summand});
  if (site.layer.relu) result = add(name + "/relu", six ? "Relu6" : "Relu", {result});
  if (site.layer.result == IntegerLayer::Result::floats) {
    Node& n = g_.node(id);
    n.op = "Identity";
    n.inputs = {result};
    n.attrs = {{"T", DType::f32}};
    if (!outputs_.contains(id)) g_.replace_uses({id, 0}, result);
    return {};
  }
  if (cut && !readers.empty()) result = add_fake_quant(g_, result, shifted);
  give(readers, result);
  if (offset == 0) become_quantized(site.last, result, site.result, site.result_ends);
  return {};
}

}  // namespace cytodet::graph::raise
