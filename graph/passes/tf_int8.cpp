#include "graph/passes/tf_int8.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "graph/ir/conv_node.h"
#include "graph/passes/node_edits.h"
#include "graph/passes/passes.h"

namespace cytodet::graph {
namespace {

struct QuantizedInput {
  Value values, low, high;
};

AttrList types(std::vector<DType> list) {
  AttrList l;
  l.types = std::move(list);
  return l;
}

// A name as part of another node's.
std::string flat(std::string name) {
  if (const size_t at = name.find(':'); at != std::string::npos) name.replace(at, 1, "__port__");
  return name;
}

class Emitter {
 public:
  Emitter(Graph& graph, const Interface& io) : g_(graph), facts_(graph), uses_(graph), outputs_(output_ids(graph, io)) {}
  bool emit(NodeId conv, std::pair<float, float> range);
  // Puts nodes behind the convolution that round its result as emit() would have it rounded.
  bool round_result(NodeId conv, std::pair<float, float> range);

 private:
  // What emit() needs to know of a convolution that it rewrites, and how its result is rounded: values from `low` to `high`.
  struct Layer {
    QuantizedConv quantized;
    ConvTail tail;
    std::array<int64_t, 4> pads{};
    float low = 0, high = 0;
  };
  std::optional<Layer> layer_of(NodeId conv, std::pair<float, float> range) const;
  Value constant(const std::string& base, float v) { return g_.add_const(base, Tensor::scalar(v)); }
  // Hundreds of nodes that nobody asks for by name: long names would be a tenth of the file.
  std::string helper(const char* what) const { return "q8/" + std::to_string(number_) + "/" + what; }
  Value zero() {
    if (zero_.node < 0) zero_ = constant("q8/zero", 0);
    return zero_;
  }
  bool dense_map(NodeId conv, const QuantizedConv& q) const;
  QuantizedInput quantized_input(const std::string& conv, const QuantizedConv& q, const std::array<int64_t, 4>& pads);
  Value above_zero(const QuantizedConv& q, const std::array<int64_t, 4>& pads);
  std::vector<Value> filter_and_bias(NodeId conv, const ConvTail& tail, const QuantizedConv& q, const QuantizedInput& in,
                                     double low);
  Value fused(NodeId conv, const ConvTail& tail, std::vector<Value> inputs, bool padded, bool is_signed);

  struct KnownInput {
    Value input;
    QuantParams quant;
    std::array<int64_t, 4> pads;
    QuantizedInput quantized;
  };
  Graph& g_;
  const Facts facts_;
  const Consumers uses_;
  const std::set<NodeId> outputs_;
  std::vector<KnownInput> known_inputs_;
  Value zero_{-1, 0};
  int number_ = 0;  // of the convolution at work
};

// One group, channels last.
bool Emitter::dense_map(NodeId conv, const QuantizedConv& q) const {
  const Node& n = g_.node(conv);
  if (n.op != "Conv2D" && n.op != "DepthwiseConv2dNative") return false;
  if (!is_channels_last(n)) return false;
  const std::optional<Shape>& in = facts_.of(q.input).shape;
  return !in || (in->size() == 4 && (in->back() < 0 || in->back() == q.weights.values.dim(2)));
}

Value Emitter::above_zero(const QuantizedConv& q, const std::array<int64_t, 4>& pads) {
  Value x = q.input;
  if (*std::max_element(pads.begin(), pads.end()) > 0) {
    std::vector<int32_t> all{0, 0, 0, 0, 0, 0, 0, 0};
    std::copy(pads.begin(), pads.end(), all.begin() + 2);
    AttrMap attrs;
    attrs["T"] = DType::f32;
    attrs["Tpaddings"] = DType::i32;
    const Value sizes = g_.add_const(helper("paddings"), Tensor::from({4, 2}, all));
    x = g_.add_new(helper("pad"), "PadV2", {x, sizes, zero()}, attrs);
  }
  AttrMap attrs;
  attrs["T"] = DType::f32;
  const Value shift = constant(helper("offset"), static_cast<float>(q.quant.zero_point) * q.quant.scale);
  return g_.add_new(helper("shift"), "AddV2", {x, shift}, attrs);
}

// Convolutions that read one value quantized alike share its QuantizeV2.
QuantizedInput Emitter::quantized_input(const std::string& conv, const QuantizedConv& q, const std::array<int64_t, 4>& pads) {
  for (const KnownInput& c : known_inputs_)
    if (c.input == q.input && c.quant == q.quant && c.pads == pads) return c.quantized;
  const Value x = q.quant.zero_point ? above_zero(q, pads) : q.input;
  std::string in = flat(g_.name_of(q.input));
  if (in.starts_with(conv + "/")) in.erase(0, conv.size() + 1);
  const float top = static_cast<float>(q.quant.is_signed ? 127 : 255) * q.quant.scale;
  QuantizedInput c;
  c.low = q.quant.is_signed ? constant(helper("min"), -top) : zero();
  c.high = constant(helper("max"), top);
  AttrMap attrs;
  attrs["T"] = q.quant.is_signed ? DType::qint8 : DType::quint8;
  attrs["mode"] = "SCALED";
  attrs["round_mode"] = "HALF_TO_EVEN";
  attrs["ensure_minimum_range"] = 0.0f;
  if (q.quant.is_signed) attrs["narrow_range"] = true;
  c.values = g_.add_new(conv + "_eightbit_quantize_" + in, "QuantizeV2", {x, c.low, c.high}, attrs);
  known_inputs_.push_back({q.input, q.quant, pads, c});
  return c;
}

std::vector<Value> Emitter::filter_and_bias(NodeId conv, const ConvTail& tail, const QuantizedConv& q, const QuantizedInput& in,
                                            double low_end) {
  const int64_t channels = output_channels(g_.node(conv).op, q.weights.values.shape());
  std::vector<float> high, bias;
  const std::vector<double> sums = zero_point_sums(q.quant, q.weights, channels);
  const Tensor* given = tail.bias < 0 ? nullptr : g_.constant(g_.node(tail.bias).inputs[1]);
  for (size_t c = 0; c < sums.size(); ++c) {
    high.push_back(127 * q.weights.scale_of(c));
    bias.push_back(static_cast<float>((given ? given->as_double(static_cast<int64_t>(c)) : 0) - sums[c] - low_end));
  }
  AttrMap attrs;
  attrs["T"] = DType::f32;
  const Value filter = g_.add_const(helper("filter"), q.weights.values.bitcast(DType::qint8)),
              offset = g_.add_const(helper("bias"), Tensor::from({channels}, bias)),
              hi = g_.add_const(helper("filter_max"), Tensor::from({channels}, high)),
              lo = g_.add_new(helper("filter_min"), "Neg", {hi}, attrs);
  return {in.values, filter, offset, in.low, in.high, lo, hi};
}

Value Emitter::fused(NodeId conv, const ConvTail& tail, std::vector<Value> inputs, bool padded, bool is_signed) {
  const Node old = g_.node(conv);
  const DType in = is_signed ? DType::qint8 : DType::quint8, out = DType::quint8;
  AttrMap attrs;
  for (const char* kept : {"strides", "padding", "explicit_paddings", "dilations"})
    if (auto it = old.attrs.find(kept); it != old.attrs.end()) attrs.insert(*it);
  if (padded) {
    attrs["padding"] = "VALID";
    attrs.erase("explicit_paddings");
  }
  attrs["Tinput"] = in;
  attrs["Tfilter"] = DType::qint8;
  attrs["Tbias"] = DType::f32;
  attrs["Tsummand"] = attrs["out_type"] = out;
  attrs["_observed"] = true;  // the range is that of calibration: what is read back need not be cut off at its ends
  std::vector<DType> given{in, DType::qint8};
  given.resize(inputs.size(), DType::f32);
  attrs["Thost_inputs"] = types(given);
  attrs["Thost_outputs"] = types({out, DType::f32, DType::f32});
  AttrList ops;
  ops.strings = tail.activation < 0 ? std::vector<std::string>{"BiasAdd", "Requantize"}
                                    : std::vector<std::string>{"BiasAdd", "Relu", "Requantize"};
  attrs["fused_ops"] = ops;
  // A range below 6 does not distinguish Relu6 from Relu; TensorFlow skips attributes with an underscore.
  if (tail.activation >= 0 && g_.node(tail.activation).op == "Relu6") attrs["_activation"] = "Relu6";
  const std::string op = old.op == "Conv2D" ? "_FusedQuantizedConv2D" : "_FusedQuantizedDepthwiseConv2D";
  const Value v = g_.add_new(old.name + "_eightbit_requantize", op, std::move(inputs), std::move(attrs));
  g_.node(v.node).controls = old.controls;
  return v;
}

std::optional<Emitter::Layer> Emitter::layer_of(NodeId conv, std::pair<float, float> range) const {
  std::optional<QuantizedConv> q = quantized_conv(g_, conv);
  if (!q || !dense_map(conv, *q)) return {};
  Layer l{std::move(*q), conv_tail(g_, uses_, outputs_, conv)};
  const bool relu = l.tail.activation >= 0;
  l.low = relu ? 0 : range.first;
  l.high = range.second;
  if (relu && g_.node(l.tail.activation).op == "Relu6") l.high = std::min(l.high, 6.0f);
  if (!std::isfinite(l.low) || !std::isfinite(l.high - l.low) || !(l.high - l.low > 0)) return {};
  if (l.quantized.quant.zero_point) {
    auto known = paddings_of(g_.node(conv), l.quantized.weights.values.shape(), facts_.of(l.quantized.input).shape);
    if (!known) return {};
    l.pads = *known;
  }
  return l;
}

bool Emitter::emit(NodeId conv, std::pair<float, float> range) {
  const std::optional<Layer> l = layer_of(conv, range);
  if (!l) return false;
  ++number_;
  std::vector<Value> inputs =
      filter_and_bias(conv, l->tail, l->quantized, quantized_input(g_.node(conv).name, l->quantized, l->pads), l->low);
  inputs.push_back(zero());
  inputs.push_back(constant(helper("frozen_max"), l->high - l->low));
  const bool padded = *std::max_element(l->pads.begin(), l->pads.end()) > 0, relu = l->tail.activation >= 0;
  const Value out = fused(conv, l->tail, std::move(inputs), padded, l->quantized.quant.is_signed);
  std::vector<Value> inverse{out, {out.node, 1}, {out.node, 2}};
  if (!relu) inverse = {out, constant(helper("result_min"), l->low), constant(helper("result_max"), l->high)};
  Node& last = g_.node(l->tail.last);
  last.op = "Dequantize";
  last.inputs = std::move(inverse);
  last.attrs.clear();
  last.attrs["T"] = DType::quint8;
  last.attrs["mode"] = relu ? "SCALED" : "MIN_COMBINED";
  return true;
}

bool Emitter::round_result(NodeId conv, std::pair<float, float> range) {
  const std::optional<Layer> l = layer_of(conv, range);
  if (!l) return false;
  ++number_;
  AttrMap sum, rounding;
  sum["T"] = DType::f32;
  rounding["min"] = 0.0f;
  rounding["max"] = l->high - l->low;
  rounding["num_bits"] = int64_t{8};
  rounding["narrow_range"] = false;
  const Value result{l->tail.last, 0};
  const bool moved = l->low != 0;
  const Value above =
      moved ? g_.add_new(helper("above"), "AddV2", {result, constant(helper("minus_low"), -l->low)}, sum) : result;
  const Value rounded = g_.add_new(helper("rounded"), "FakeQuantWithMinMaxArgs", {above}, rounding);
  const Value end = moved ? g_.add_new(helper("end"), "AddV2", {rounded, constant(helper("low"), l->low)}, sum) : rounded;
  for (const Consumers::Use& use : uses_.of(l->tail.last)) {
    for (Value& input : g_.node(use.node).inputs)
      if (input == result) input = end;
  }
  if (outputs_.contains(l->tail.last)) {
    const std::string name = g_.node(l->tail.last).name;
    g_.rename(l->tail.last, g_.unique_name(name + "/exact"));
    g_.rename(end.node, name);
  }
  return true;
}

bool exact_in_half(const Tensor& t) {
  const auto v = t.span<float>();
  return std::all_of(v.begin(), v.end(), [](float x) { return static_cast<float>(Half(x)) == x; });
}

//   Const f32 [64 or more], exact in float16 ─▶ Mul
// becomes
//   Const f16 ─▶ Cast ─▶ Mul
void store_factors_in_half(Graph& g) {
  constexpr int64_t kSmallest = 64;  // below it the Cast takes more than it saves
  const Consumers uses(g);
  int number = 0;
  for (NodeId id : g.ids()) {
    const Tensor* factors = g.constant(id);
    const std::vector<Consumers::Use>& readers = uses.of(id);
    if (!factors || factors->dtype() != DType::f32 || factors->size() < kSmallest || readers.empty() ||
        !exact_in_half(*factors) ||
        std::any_of(readers.begin(), readers.end(), [&](Consumers::Use use) { return g.node(use.node).op != "Mul"; }))
      continue;
    Tensor half(DType::f16, factors->shape());
    for (int64_t i = 0; i < half.size(); ++i) half.data<Half>()[i] = Half(factors->data<float>()[i]);
    const std::string name = "q8/factors/" + std::to_string(++number);
    Node cast;
    cast.name = g.unique_name(name + "/f32");
    cast.op = "Cast";
    cast.inputs = {g.add_const(name, std::move(half))};
    cast.attrs["SrcT"] = DType::f16;
    cast.attrs["DstT"] = DType::f32;
    g.replace_uses({id, 0}, {g.add(std::move(cast)), 0});
  }
}

}  // namespace

//   conv ─▶ [BiasAdd constant] ─▶ [Relu | Relu6]     each read by the next alone
ConvTail conv_tail(const Graph& g, const Consumers& uses, const std::set<NodeId>& outputs, NodeId conv) {
  ConvTail t{-1, -1, conv};
  auto next = [&]() -> NodeId { return uses.sole(t.last) && !outputs.contains(t.last) ? uses.of(t.last)[0].node : -1; };
  if (NodeId n = next(); n >= 0 && g.node(n).op == "BiasAdd" && g.node(n).inputs.size() == 2 && g.constant(g.node(n).inputs[1]) &&
                         g.node(n).controls.empty())
    t.bias = t.last = n;
  if (NodeId n = next(); n >= 0 && (g.node(n).op == "Relu" || g.node(n).op == "Relu6") && g.node(n).controls.empty())
    t.activation = t.last = n;
  return t;
}

std::vector<double> zero_point_sums(const QuantParams& quant, const QuantizedWeights& weights, int64_t channels) {
  std::vector<int64_t> sums(static_cast<size_t>(channels), 0);
  const int8_t* values = weights.values.data<int8_t>();
  for (int64_t i = 0; i < weights.values.size(); i += channels)
    for (int64_t c = 0; c < channels; ++c) sums[static_cast<size_t>(c)] += values[i + c];
  std::vector<double> out;
  for (size_t c = 0; c < sums.size(); ++c)
    out.push_back(static_cast<double>(quant.zero_point) * quant.scale * weights.scale_of(c) * static_cast<double>(sums[c]));
  return out;
}

std::optional<std::array<int64_t, 4>> paddings_of(const Node& conv, const Shape& filter, const std::optional<Shape>& input) {
  const std::string& padding = conv.attr<std::string>("padding");
  std::array<int64_t, 4> pads{};
  if (padding == "EXPLICIT") {
    const std::vector<int64_t> all = conv.attr<AttrList>("explicit_paddings").ints;
    if (all.size() != 8) return {};
    std::copy(all.begin() + 2, all.begin() + 6, pads.begin());
    return pads;
  }
  if (padding != "SAME") return pads;
  const std::vector<int64_t> strides = conv.attr<AttrList>("strides").ints,
                             dilations = conv.attr_or("dilations", AttrList{}).ints;
  if (strides.size() != 4) return {};
  for (size_t side : {size_t{0}, size_t{1}}) {
    const int64_t stride = strides[side + 1], extent = (filter[side] - 1) * (dilations.size() == 4 ? dilations[side + 1] : 1) + 1;
    if (extent == 1) continue;
    int64_t total = extent - 1;
    if (stride > 1) {
      if (!input || input->size() != 4 || (*input)[side + 1] < 0) return {};
      const int64_t in = (*input)[side + 1], out = (in + stride - 1) / stride;
      total = std::max<int64_t>(0, (out - 1) * stride + extent - in);
    }
    pads[2 * side] = total / 2;
    pads[2 * side + 1] = total - total / 2;
  }
  return pads;
}

namespace {

// Lets the emitter work on each convolution that options allow.
template <class Work>
int for_each_layer(Graph& graph, const OutputRanges& ranges, const TfInt8Options& options, Work work) {
  Interface io = options.interface;
  for (const std::string& name : find_outputs(graph)) io.outputs.push_back(name);
  Emitter emitter(graph, io);
  int done = 0;
  for (NodeId id : graph.topological_order()) {
    const std::string name = graph.node(id).name;
    const auto range = ranges.find(name);
    if (range == ranges.end() || options.precise.contains(name)) continue;
    done += work(emitter, id, range->second);
  }
  return done;
}

}  // namespace

int to_tensorflow_int8(Graph& graph, const OutputRanges& ranges, const TfInt8Options& options) {
  Interface io = options.interface;
  for (const std::string& name : find_outputs(graph)) io.outputs.push_back(name);
  const int done = for_each_layer(graph, ranges, options, [](Emitter& e, NodeId id, auto range) { return e.emit(id, range); });
  if (done) {
    store_factors_in_half(graph);
    sweep(graph, io);
  }
  return done;
}

int round_results_to_int8(Graph& graph, const OutputRanges& ranges, const TfInt8Options& options) {
  return for_each_layer(graph, ranges, options, [](Emitter& e, NodeId id, auto range) { return e.round_result(id, range); });
}

}  // namespace cytodet::graph
