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
std::vector<double> weight_sums(const QuantizedWeights& weights, size_t channels) {
  std::vector<double> sums(channels, 0);
  const int8_t* values = weights.values.data<int8_t>();
  const int8_t* const end = values + weights.values.size();
  for (; values < end; values += channels)
    for (size_t c = 0; c < channels; ++c) sums[c] += values[c];
  return sums;
}

}  // namespace

// If source.value is PadV2(x) of zeros around a map, makes x the source and notes the pads. Other pads stay nodes of their own,
// which is only right without a zero point.
void Int8Rewriter::look_behind_pad(Source& source) const {
  const Node& pad = g_.node(source.value.node);
  if (!(pad.op == "Pad" && pad.inputs.size() == 2) && !(pad.op == "PadV2" && pad.inputs.size() == 3)) return;
  const Tensor *sizes = g_.constant(pad.inputs[1]), *value = pad.op == "PadV2" ? g_.constant(pad.inputs[2]) : nullptr;
  if (!sizes || sizes->size() != 8 || (pad.op == "PadV2" && (!value || value->size() != 1 || value->as_double() != 0))) return;
  const std::vector<int64_t> p = sizes->as_ints();
  if (p[0] || p[1] || p[6] || p[7] || *std::min_element(p.begin(), p.end()) < 0) return;
  std::copy(p.begin() + 2, p.begin() + 6, source.pads.begin());
  source.value = pad.inputs[0];
}

// If source.value is AddV2(x, zero_point * scale) in front of QuantizeV2, makes x the source, with that zero point. False: it is
// something else.
bool Int8Rewriter::look_behind_shift(const LayerFacts& facts, Source& source) const {
  const Node& add = g_.node(source.value.node);
  if (add.op != "AddV2" || add.inputs.size() != 2 || source.quant.is_signed || source.value.slot != 0) return false;
  if (source.quant.zero_point || pads(facts) || waits(source.value.node)) return false;
  const Tensor* shift = g_.constant(add.inputs[1]);
  if (!shift || shift->size() != 1 || shift->dtype() != DType::f32) return false;
  const double z = shift->as_double() / source.quant.scale, rounded = std::nearbyint(z);
  if (rounded < 1 || rounded > 255 || std::abs(z - rounded) > 1e-3) return false;
  source.quant.zero_point = static_cast<int>(rounded);
  source.value = add.inputs[0];
  return true;
}

// Whether the layer pads its input, or may.
bool Int8Rewriter::pads(const LayerFacts& facts) const {
  if (facts.layer.product == IntegerLayer::Product::matmul) return false;
  const Node& n = g_.node(facts.node);
  const auto own = paddings_of(with_explicit_padding(n), facts.weights.values.shape(), facts_.of(n.inputs[0]).shape);
  return !own || !all_zero(*own);
}

std::optional<Int8Rewriter::Source> Int8Rewriter::source_of(const LayerFacts& facts) {
  const Value quantized = g_.node(facts.node).inputs[0];
  if (facts.computes_range) {
    if (!frames_.agree(quantized, facts.node)) return {};
    const auto known = numbers_.find(quantized);
    if (known != numbers_.end()) return Source{known->second, {}};
    AttrMap attrs{{"T", facts.is_signed ? DType::qint8 : DType::quint8}, {"mode", std::string("SCALED")}};
    if (facts.is_signed) attrs["narrow_range"] = true;
    const Value numbers = g_.add_new(g_.node(quantized.node).name + "/numbers", "Dequantize",
                                     {quantized, {quantized.node, 1}, {quantized.node, 2}}, attrs);
    return Source{numbers_[quantized] = numbers, {}};
  }
  const auto it = quantized_by_value_.find(quantized);
  if (it == quantized_by_value_.end()) {
    // Quantized values of a node that is not raised: dequantized here, and quantized again where the layer reads them.
    if (g_.constant(quantized) || !frames_.agree(quantized, facts.node)) return {};
    const Ends e = facts.min_first ? facts.input : facts.input.scaled(facts.is_signed);
    const int zero_point = facts.min_first ? static_cast<int>(std::clamp(-std::round(e.low / facts.step), 0.0, 255.0)) : 0;
    return Source{add_dequantize(g_.node(facts.node).name + "/input", quantized, facts.is_signed ? DType::qint8 : DType::quint8,
                                 e, facts.min_first ? "MIN_COMBINED" : "SCALED"),
                  {static_cast<float>(facts.step), zero_point, facts.is_signed}};
  }
  Source s{it->second.x, it->second.quant};
  if (s.quant.is_signed != facts.is_signed) return {};
  if (close(s.quant.scale, facts.step)) s.quant.scale = static_cast<float>(facts.step);
  const Value before = s.value;
  const Node& q = g_.node(quantized.node);
  if (q.op == "QuantizeV2" && q.inputs[0] == before && look_behind_shift(facts, s) && !waits(s.value.node)) look_behind_pad(s);
  return s;
}

std::optional<Value> Int8Rewriter::summand_of(const LayerFacts& facts) {
  const Node& n = g_.node(facts.node);
  const Value v = n.inputs[static_cast<size_t>(facts.layer.summand)];
  if (facts.layer.summand_range < 0) return v;
  const size_t at = static_cast<size_t>(facts.layer.summand_range);
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
  if (!frames_.agree(v, facts.node)) return {};
  return add_dequantize(n.name + "/summand", v, type, ends->scaled(type == DType::qint8));
}

// The quantized values of v, of a node that stays too; empty where they have no constant range from 0 on.
std::optional<QuantizedSource> Int8Rewriter::quantized_source(Value v, const Ends& ends, DType type) {
  if (const auto it = quantized_by_value_.find(v); it != quantized_by_value_.end()) return it->second;
  if (!ends_.contains(v.node) || v.slot != 0 || (type != DType::quint8 && type != DType::qint8)) return {};
  const bool is_signed = type == DType::qint8;
  if (!is_signed && ends.low < -1e-6f * ends.high) return {};
  const Value numbers = add_dequantize(g_.node(v.node).name + "/numbers", v, type, ends.scaled(is_signed));
  return quantized_by_value_[v] = {numbers, {ends.top() / static_cast<float>(is_signed ? 127 : 255), 0, is_signed}, ends};
}

Value Int8Rewriter::add_dequantize(const std::string& name, Value quantized, DType type, const Ends& range, const char* mode) {
  const Value low = g_.add_const(name + "_min", Tensor::scalar(range.low)),
              high = g_.add_const(name + "_max", Tensor::scalar(range.high));
  return g_.add_new(name, "Dequantize", {quantized, low, high}, {{"T", type}, {"mode", std::string(mode)}});
}

// The strides, dilations and padding of `conv`: those of the node `old`, or the paddings that stood in front of QuantizeV2, as
// SAME where that means them.
void Int8Rewriter::set_padding(Node& conv, const Node& old, const Shape& filter, const Source& source) const {
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

NodeId Int8Rewriter::add_product(const LayerFacts& facts, const Source& source) {
  const Node old = g_.node(facts.node);
  std::string name = old.name;
  for (const char* tail :
       {"_eightbit_requantize", "_eightbit_quantized_conv", "_eightbit_quantized_depthwise_conv", "_eightbit_quantized_mat_mul"})
    if (name.ends_with(tail)) name.resize(name.size() - std::char_traits<char>::length(tail));
  if (name == old.name && !outputs_.contains(facts.node)) g_.rename(facts.node, g_.unique_name(name + "_codes"));
  using Product = IntegerLayer::Product;
  const bool matmul = facts.layer.product == Product::matmul;
  const char* op = matmul ? "MatMul" : facts.layer.product == Product::conv ? "Conv2D" : "DepthwiseConv2dNative";
  const NodeId product = add(name, op, {source.value, source.value}).node;
  g_.node(product).controls = old.controls;
  if (!matmul) {
    g_.node(product).attrs["data_format"] = "NHWC";
    set_padding(g_.node(product), old, facts.weights.values.shape(), source);
  }
  if (facts.computes_range) {  // the same numbers as of integers, each product rounded as a float
    g_.node(product).inputs[1] = g_.add_const(name + "/filter", dequantize_weights(facts.weights));
    return product;
  }
  // The layer may read its input with another step than it was quantized with: the scales of the weights make up for that.
  QuantizedWeights weights = facts.weights;
  if (!close(source.quant.scale, facts.step))
    for (float& s : weights.scales) s = static_cast<float>(s * (facts.step / source.quant.scale));
  set_quantized(g_, product, source.quant, weights);
  return product;
}

// The product plus the bias. To the bias comes what the zero point added to the integer layer's sums, which are of quantized
// values: these lie zero_point * step above the floats that the product reads.
Value Int8Rewriter::with_bias(Value product, const LayerFacts& facts, const Source& source, double offset) {
  const std::string name = g_.node(product.node).name;
  const double at_zero = (facts.min_first && !facts.whole_bias ? double{facts.input.low} : 0) +
                         static_cast<double>(source.quant.zero_point) * facts.step;
  const std::vector<double> sums = weight_sums(facts.weights, facts.bias.size());
  std::vector<float> bias;
  for (size_t c = 0; c < sums.size(); ++c) {
    const double moved = at_zero * facts.weights.scale_of(c) * sums[c], b = facts.bias[c] + moved + offset;
    // A bias that only made up for the zero point leaves a rounding error of float32: it is 0.
    bias.push_back(std::abs(b) <= std::ldexp(std::abs(moved) + std::abs(offset), -24) ? 0.0f : static_cast<float>(b));
  }
  if (std::all_of(bias.begin(), bias.end(), [](float b) { return b == 0; })) return product;
  const Value values = g_.add_const(name + "/bias", Tensor::from({static_cast<int64_t>(bias.size())}, bias));
  return add(name + "/bias_add", "BiasAdd", {product, values}, {{"data_format", std::string("NHWC")}});
}

std::vector<NodeId> Int8Rewriter::readers_of_floats(const LayerFacts& facts, double& offset) const {
  std::vector<NodeId> readers;
  std::set<NodeId> others;
  for (Consumers::Use use : uses_.of(facts.last)) {
    const std::optional<double> o = offset_of(g_, g_.node(use.node), facts.last, facts.result_ends.top());
    if (use.input == 0 && o && !(facts.layer.relu && *o != 0) && (readers.empty() || *o == offset) && !waits(use.node) &&
        frames_.agree(Value{facts.last, 0}, use.node)) {
      offset = *o;
      readers.push_back(use.node);
    } else {
      others.insert(use.node);
    }
  }
  for (NodeId reader : readers) others.erase(reader);
  // Other readers take the quantized values as those of floats without the offset.
  if (offset != 0 && !others.empty()) {
    offset = 0;
    return {};
  }
  return readers;
}

// The Dequantizes `readers` give the float result from now on: the first becomes its last node, the others an Identity of that.
void Int8Rewriter::give(const std::vector<NodeId>& readers, Value& result) {
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

//   values ─▶ integer layer (ir/integer_layer.h) [─▶ Requantize | RequantizePerChannel] [─▶ Dequantize]
// becomes, with x the floats that `values` were quantized from,
//   x ─▶ QuantizeV2 ─▶ Dequantize ─▶ Conv2D | DepthwiseConv2dNative | MatMul [─▶ BiasAdd] [─▶ AddV2 summand] [─▶ Relu | Relu6]
// A Dequantize of the result becomes the last of these nodes; others read the result through a new QuantizeV2.
Why Int8Rewriter::raise_layer(NodeId id) {
  LayerFacts facts;
  if (Why why = read_layer_facts(id, facts); !why.empty()) return why;
  const UnraisedNode old{g_.node(id).name, g_.node(id).op, kComputesRange};
  const std::optional<Source> source = source_of(facts);
  if (!source) return "its input is constant or of other quantized values";
  // Padding by the layer itself pads with the quantized value 0.
  if (source->quant.zero_point && all_zero(source->pads) && pads(facts)) return "its padding is another number than 0";
  std::optional<Value> summand;
  if (facts.layer.summand >= 0 && !(summand = summand_of(facts)))
    return "its summand has a range that is not known or a zero point";

  const bool six =
      facts.layer.relu && (facts.result_ends.top() == 6 || g_.node(id).attr_or<std::string>("_activation", "") == "Relu6");
  double offset = 0;
  std::vector<NodeId> readers;
  if (facts.layer.result != IntegerLayer::Result::floats) readers = readers_of_floats(facts, offset);
  // A range that was chosen, not observed, cuts off results beyond it: readers of floats read them fake-quantized, with a zero
  // point where the range begins at an offset.
  const bool cut = !facts.observed && !six;
  const QuantParams shifted{facts.result.scale,
                            static_cast<int>(std::clamp(-std::round(offset / facts.result.scale), -1.0, 256.0)), false};
  if (cut && (offset == 0 || shifted.zero_point < 0 || shifted.zero_point > 255)) {
    readers.clear();
    offset = 0;
  }

  if (facts.computes_range) left_[facts.last] = old;
  const Value product{add_product(facts, *source), 0};
  const std::string name = g_.node(product.node).name;
  Value result = with_bias(product, facts, *source, offset);
  if (summand) result = add(name + "/sum", "AddV2", {result, *summand});
  if (facts.layer.relu) result = add(name + "/relu", six ? "Relu6" : "Relu", {result});
  if (facts.layer.result == IntegerLayer::Result::floats) {
    Node& n = g_.node(id);
    n.op = "Identity";
    n.inputs = {result};
    n.attrs = {{"T", DType::f32}};
    if (!outputs_.contains(id)) g_.replace_uses({id, 0}, result);
    return {};
  }
  if (cut && !readers.empty()) result = add_fake_quant(g_, result, shifted);
  give(readers, result);
  if (offset == 0) become_quantized(facts.last, result, facts.result, facts.result_ends);
  return {};
}

}  // namespace cytodet::graph::raise
