#include "pipeline/transform/eightbit.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "graph/ir/conv_node.h"
#include "graph/ir/op.h"
#include "graph/passes/tf_int8.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::pipeline {
namespace {

// Quantized values and the ends of their range.
struct QuantizedTensor {
  Value quantized, low, high;
  DType type;
};

// A convolution with what is fused behind it.
struct Fused {
  NodeId conv = -1, last = -1;
  const Tensor* bias = nullptr;
  Value summand{-1, 0};
  bool relu = false, clipped = false;  // clipped: Relu6
};

// A name as part of another's.
std::string part_of_name(std::string name) {
  for (const auto& [from, to] : {std::pair{":", "__port__"}, {"^", "__hat__"}})
    for (size_t at = name.find(from); at != std::string::npos; at = name.find(from)) name.replace(at, 1, to);
  return name;
}

class EightBitRewriter {
 public:
  EightBitRewriter(Graph& graph, const EightbitOptions& options) : g_(graph), options_(options), facts_(graph), uses_(graph) {
    for (const std::string& name : options.outputs.empty() ? find_outputs(graph) : options.outputs)
      outputs_.insert(graph.value(name).node);
  }
  EightbitReport run() {
    for (NodeId id : g_.topological_order())
      if (g_.alive(id)) visit(id);
    std::vector<NodeId> kept(outputs_.begin(), outputs_.end());
    for (NodeId id : g_.ids())
      if (g_.node(id).op == "Placeholder") kept.push_back(id);
    g_.sweep(kept);
    return report_;
  }

 private:
  void visit(NodeId id) {
    const Node& n = g_.node(id);
    if (n.op == "Conv2D" || n.op == "DepthwiseConv2dNative") {
      if (stays(n) || !convert_convolution(id)) ++report_.in_float;
    } else if ((n.op == "MaxPool" || n.op == "AvgPool") && !stays(n)) {
      convert_pool(id);
    } else if (n.op == "ConcatV2" && !stays(n)) {
      convert_concat(id);
    }
  }
  bool stays(const Node& n) const {
    return options_.excluded_ops.contains(n.op) || options_.excluded_nodes.contains(n.name) || !n.controls.empty();
  }

  // Each adds to `f` the node that alone reads its last one, if it is a bias, a sum with another map, or Relu.
  void fuse_bias(Fused& f, int64_t channels) const;
  void fuse_summand(Fused& f) const;
  void fuse_activation(Fused& f) const;
  Fused fused_behind(NodeId conv, int64_t channels) const;
  NodeId sole_reader(NodeId id) const;
  bool can_convert(const Node& conv) const;
  Value add_sums(const Fused& f, const Node& conv);
  std::pair<Value, Value> result_range(const Fused& f, const std::string& base, const std::vector<Value>& sums);
  bool convert_convolution(NodeId id);
  void convert_pool(NodeId id);
  void convert_concat(NodeId id);

  bool never_negative(Value v, int depth = 0) const;
  QuantizedTensor quantized(Value v, const std::string& reader);
  Value constant(const std::string& name, Tensor t) { return g_.add_const(name, std::move(t)); }
  std::vector<Value> filter_inputs(const Fused& f, const Tensor& filter, bool per_channel);
  void dequantize(NodeId id, const QuantizedTensor& from, const char* mode);

  Graph& g_;
  const EightbitOptions& options_;
  const Facts facts_;
  const Consumers uses_;
  std::set<NodeId> outputs_;
  std::map<Value, QuantizedTensor> quantized_;    // values that QuantizeV2 reads
  std::map<Value, QuantizedTensor> dequantized_;  // results, by their numbers
  EightbitReport report_;
};

bool is_sum_of_two(const Node& n) {
  return (n.op == "Add" || n.op == "AddV2" || n.op == "AddN" || n.op == "BiasAdd") && n.inputs.size() == 2 && n.controls.empty();
}

// The one of two inputs that is not the value of `node`.
Value input_beside(const Node& n, NodeId node) { return n.inputs[n.inputs[0].node == node ? 1 : 0]; }

// The node that alone reads `id`, if no output needs it; -1.
NodeId EightBitRewriter::sole_reader(NodeId id) const {
  return uses_.sole(id) && !outputs_.contains(id) ? uses_.of(id)[0].node : -1;
}

void EightBitRewriter::fuse_bias(Fused& f, int64_t channels) const {
  const NodeId n = sole_reader(f.last);
  if (n < 0 || !is_sum_of_two(g_.node(n))) return;
  const Tensor* t = g_.constant(input_beside(g_.node(n), f.last));
  if (t && t->dtype() == DType::f32 && t->size() == channels && t->dim(-1) == channels) f.bias = t, f.last = n;
}

void EightBitRewriter::fuse_summand(Fused& f) const {
  const NodeId n = sole_reader(f.last);
  if (n < 0 || !is_sum_of_two(g_.node(n)) || g_.node(n).op == "BiasAdd") return;
  const Value v = input_beside(g_.node(n), f.last);
  const auto &own = facts_.of({f.conv, 0}).shape, &theirs = facts_.of(v).shape;
  if (!g_.constant(v) && v.node != f.last && own && theirs && *own == *theirs) f.summand = v, f.last = n;
}

void EightBitRewriter::fuse_activation(Fused& f) const {
  const NodeId n = sole_reader(f.last);
  if (n < 0 || !g_.node(n).controls.empty()) return;
  const std::string& op = g_.node(n).op;
  f.clipped = op == "Relu6";
  f.relu = op == "Relu" || (f.clipped && options_.per_channel);
  if (f.relu) f.last = n;
}

//   conv [─▶ Add of a bias] [─▶ Relu | Relu6]
//   conv [─▶ Add of a bias] ─▶ Add of another map ─▶ Relu | Relu6     each read by the next alone; Relu6 only with per_channel
Fused EightBitRewriter::fused_behind(NodeId conv, int64_t channels) const {
  Fused f{conv, conv};
  fuse_bias(f, channels);
  const Fused without_sum = f;
  fuse_summand(f);
  fuse_activation(f);
  // A sum is fused in front of Relu alone.
  return f.summand.node >= 0 && !f.relu ? without_sum : f;
}

bool EightBitRewriter::never_negative(Value v, int depth) const {
  const Node& n = g_.node(v.node);
  if (depth > 64) return false;
  if (n.op == "Relu" || n.op == "Relu6" || n.op == "Sigmoid" || n.op == "Softmax") return true;
  if (n.op == "MaxPool" || n.op == "AvgPool") return never_negative(n.inputs[0], depth + 1);
  if (const auto it = dequantized_.find(v); it != dequantized_.end() && n.attr_or<std::string>("mode", "") == "SCALED")
    return it->second.type == DType::quint8;
  if (n.op != "ConcatV2") return false;
  return std::all_of(n.inputs.begin(), n.inputs.end() - 1, [&](Value i) { return never_negative(i, depth + 1); });
}

// The quantized values that v was made of; else new ones, whose range each run computes.
QuantizedTensor EightBitRewriter::quantized(Value v, const std::string& reader) {
  if (const auto it = dequantized_.find(v);
      it != dequantized_.end() && g_.node(v.node).attr_or<std::string>("mode", "") == "SCALED")
    return it->second;
  if (const auto it = quantized_.find(v); it != quantized_.end()) return it->second;
  const std::string base = reader + "_eightbit", in = part_of_name(g_.name_of(v));
  const bool is_signed = !never_negative(v);
  const Value dims = constant(base + "_reshape_dims", Tensor::from<int32_t>({1}, {-1})),
              axes = constant(base + "_reduction_dims", Tensor::from<int32_t>({1}, {0}));
  const AttrMap reduce{{"T", DType::f32}, {"Tidx", DType::i32}, {"keep_dims", false}};
  const Value row = g_.add_new(base + "_reshape_" + in, "Reshape", {v, dims}, {{"T", DType::f32}, {"Tshape", DType::i32}}),
              low = g_.add_new(base + "_min_" + in, "Min", {row, axes}, reduce),
              high = g_.add_new(base + "_max_" + in, "Max", {row, axes}, reduce);
  QuantizedTensor c{{-1, 0}, {}, {}, is_signed ? DType::qint8 : DType::quint8};
  AttrMap attrs{{"T", c.type}, {"mode", std::string("SCALED")}, {"round_mode", std::string("HALF_TO_EVEN")}};
  if (is_signed) attrs["narrow_range"] = true;
  c.quantized = g_.add_new(base + "_quantize_" + in, "QuantizeV2", {v, low, high}, attrs);
  c.low = {c.quantized.node, 1};
  c.high = {c.quantized.node, 2};
  return quantized_[v] = c;
}

// Quantized values of the filter, and its range: filter, bias, low, high.
std::vector<Value> EightBitRewriter::filter_inputs(const Fused& f, const Tensor& filter, bool per_channel) {
  const Node conv = g_.node(f.conv);
  const int64_t channels = output_channels(conv.op, filter.shape());
  const std::string name = g_.node(conv.inputs[1].node).name;
  const QuantizedWeights w = quantize_weights(filter, channels, per_channel);
  std::vector<float> low, high;
  for (float s : w.scales) low.push_back(-127 * s), high.push_back(127 * s);
  const Shape ranges = per_channel ? Shape{channels} : Shape{};
  Tensor bias(DType::f32, {channels});
  for (int64_t c = 0; c < channels && f.bias; ++c) bias.data<float>()[c] = f.bias->data<float>()[c];
  return {constant(name + "_qint8_const", w.values.bitcast(DType::qint8)),
          constant(conv.name + "_eightbit_bias", std::move(bias)), constant(name + "_min", Tensor::from(ranges, low)),
          constant(name + "_max", Tensor::from(ranges, high))};
}

// The node becomes the numbers of the quantized values.
void EightBitRewriter::dequantize(NodeId id, const QuantizedTensor& from, const char* mode) {
  Node& n = g_.node(id);
  n.op = "Dequantize";
  n.inputs = {from.quantized, from.low, from.high};
  n.attrs = {{"T", from.type}, {"mode", std::string(mode)}};
  dequantized_[{id, 0}] = from;
}

// Whether TensorFlow has an 8-bit op for the convolution: of a constant float filter, channels last, in one group.
bool EightBitRewriter::can_convert(const Node& conv) const {
  const bool depthwise = conv.op == "DepthwiseConv2dNative";
  const Tensor* filter = conv.inputs.size() == 2 ? g_.constant(conv.inputs[1]) : nullptr;
  if (!filter || filter->dtype() != DType::f32 || filter->rank() != 4 || is_channels_first(conv)) return false;
  if (depthwise && !options_.per_channel) return false;
  const auto& in = facts_.of(conv.inputs[0]);
  if (in.dtype != DType::f32) return false;
  if (!in.shape) return depthwise;
  return in.shape->size() == 4 && (in.shape->back() < 0 || in.shape->back() == filter->dim(2));
}

// The convolution on quantized values, with what is fused: its 32-bit sums, and their range in outputs 1 and 2.
Value EightBitRewriter::add_sums(const Fused& f, const Node& conv) {
  const bool depthwise = conv.op == "DepthwiseConv2dNative";
  const QuantizedTensor input = quantized(conv.inputs[0], conv.name);
  const std::vector<Value> filters = filter_inputs(f, *g_.constant(conv.inputs[1]), options_.per_channel);
  std::vector<Value> inputs{input.quantized, filters[0], filters[1], input.low, input.high, filters[2], filters[3]};
  if (f.summand.node >= 0) inputs.push_back(f.summand);
  AttrMap attrs{{"Tinput", input.type}, {"Tfilter", DType::qint8}, {"out_type", DType::qint32}};
  for (const char* kept : {"strides", "padding", "dilations"})
    if (auto a = conv.attrs.find(kept); a != conv.attrs.end()) attrs.insert(*a);
  const AttrList pads = conv.attr_or("explicit_paddings", AttrList{});
  if (!pads.ints.empty() && conv.attr_or<std::string>("padding", "") == "EXPLICIT") {
    attrs["padding"] = std::string("VALID");
    attrs["padding_list"] = pads;
  }
  const std::string op = std::string(depthwise ? "QuantizedDepthwiseConv2D" : "QuantizedConv2D") + "WithBias" +
                         (f.summand.node >= 0 ? "Sum" : "") + (f.relu ? "AndRelu" : "");
  return g_.add_new(conv.name + "_eightbit" + (depthwise ? "_quantized_depthwise_conv" : "_quantized_conv"), op, inputs, attrs);
}

// The range that the sums are requantized to: the fallback, or the one that each run computes from them.
std::pair<Value, Value> EightBitRewriter::result_range(const Fused& f, const std::string& base, const std::vector<Value>& sums) {
  if (options_.fallback) {
    const Value low = constant(base + "_fallback_min", Tensor::scalar(options_.fallback->first));
    return {low, constant(base + "_fallback_max", Tensor::scalar(options_.fallback->second))};
  }
  const bool per_channel = options_.per_channel;
  AttrMap attrs{{per_channel ? "T" : "Tinput", DType::qint32}};
  if (per_channel) attrs["clip_value_max"] = f.clipped && f.relu ? 6.0f : 1e30f;
  const Value low =
      g_.add_new(base + "_requant_range", per_channel ? "RequantizationRangePerChannel" : "RequantizationRange", sums, attrs);
  return {low, {low.node, 1}};
}

//   x, constant filter ─▶ Conv2D | DepthwiseConv2dNative ─▶ what fused_behind finds
// becomes
//   x ─▶ QuantizeV2 ─▶ QuantizedConv2DWithBias... | QuantizedDepthwiseConv2DWithBias... ─▶ Requantize* ─▶ Dequantize
bool EightBitRewriter::convert_convolution(NodeId id) {
  const Node conv = g_.node(id);
  if (!can_convert(conv)) return false;
  const bool per_channel = options_.per_channel;
  const Fused f = fused_behind(id, output_channels(conv.op, g_.constant(conv.inputs[1])->shape()));
  const std::string base = conv.name + "_eightbit";
  const Value sums = add_sums(f, conv);
  const std::vector<Value> of_sums{sums, {sums.node, 1}, {sums.node, 2}};
  // Signed results of one range are unsigned quantized values with a zero point; those of ranges per channel are signed
  // quantized values.
  const DType type = f.relu || !per_channel ? DType::quint8 : DType::qint8;
  const auto [low, high] = result_range(f, base, of_sums);
  const Value quantized = g_.add_new(base + "_requantize", per_channel ? "RequantizePerChannel" : "Requantize",
                                     {of_sums[0], of_sums[1], of_sums[2], low, high},
                                     {{per_channel ? "T" : "Tinput", DType::qint32}, {"out_type", type}});
  dequantize(f.last, {quantized, {quantized.node, 1}, {quantized.node, 2}, type}, f.relu || per_channel ? "SCALED" : "MIN_FIRST");
  ++report_.convolutions;
  report_.signed_depthwise += conv.op == "DepthwiseConv2dNative" && g_.node(sums.node).attr<DType>("Tinput") == DType::qint8;
  return true;
}

void EightBitRewriter::convert_pool(NodeId id) {
  const Node n = g_.node(id);
  const auto from = dequantized_.find(n.inputs[0]);
  if (from == dequantized_.end() || is_channels_first(n) || n.attr_or("T", DType::f32) != DType::f32) return;
  const std::string mode = g_.node(n.inputs[0].node).attr_or<std::string>("mode", "SCALED");
  AttrMap attrs{{"T", from->second.type}};
  for (const char* kept : {"ksize", "strides", "padding"})
    if (auto a = n.attrs.find(kept); a != n.attrs.end()) attrs.insert(*a);
  const Value quantized = g_.add_new(n.name + "_eightbit_quantized", "Quantized" + n.op,
                                     {from->second.quantized, from->second.low, from->second.high}, attrs);
  dequantize(id, {quantized, {quantized.node, 1}, {quantized.node, 2}, from->second.type}, mode.c_str());
  ++report_.pools;
}

void EightBitRewriter::convert_concat(NodeId id) {
  const Node n = g_.node(id);
  std::vector<Value> values, lows, highs;
  std::optional<DType> type;
  for (size_t i = 0; i + 1 < n.inputs.size(); ++i) {
    const auto from = dequantized_.find(n.inputs[i]);
    if (from == dequantized_.end() || (type && *type != from->second.type)) return;
    if (g_.node(n.inputs[i].node).attr_or<std::string>("mode", "SCALED") != "SCALED") return;
    type = from->second.type;
    values.push_back(from->second.quantized);
    lows.push_back(from->second.low);
    highs.push_back(from->second.high);
  }
  if (!type) return;
  const int64_t count = static_cast<int64_t>(values.size());
  values.push_back(n.inputs.back());
  values.insert(values.end(), lows.begin(), lows.end());
  values.insert(values.end(), highs.begin(), highs.end());
  const Value quantized = g_.add_new(n.name + "_eightbit_quantized_concatv2", "QuantizedConcatV2", values,
                                     {{"N", count}, {"T", *type}, {"Tidx", n.attr_or("Tidx", DType::i32)}});
  dequantize(id, {quantized, {quantized.node, 1}, {quantized.node, 2}, *type}, "SCALED");
  ++report_.concatenations;
}

}  // namespace

EightbitReport to_eightbit(Graph& graph, const EightbitOptions& options) {
  for (const std::string& name : options.excluded_nodes)
    if (!name.empty()) graph.require(name);
  if (options.fallback && !(options.fallback->first < options.fallback->second))
    throw Error("fallback range", "has its minimum not below its maximum");
  return EightBitRewriter(graph, options).run();
}

}  // namespace cytodet::pipeline
