#include "quant/quantize.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/ascii.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/suggest.h"
#include "graph/ir/conv_node.h"
#include "graph/ir/frames.h"
#include "graph/ir/op.h"
#include "graph/layout/put_channels_last.h"
#include "graph/passes/tf_int8.h"
#include "quant/clusters.h"
#include "quant/graph_hash.h"
#include "quant/layout.h"
#include "quant/learned_rounding.h"
#include "quant/row_ops.h"
#include "quant/sqnr.h"

namespace cytodet::quant {
namespace {

// Products of numbers that have no INT8 form.
bool is_float_layer(const Node& n) {
  static const std::set<std::string> kOps{"Conv2DBackpropInput",
                                          "Conv3DBackpropInputV2",
                                          "DepthwiseConv2dNativeBackpropInput",
                                          "BatchMatMul",
                                          "BatchMatMulV2",
                                          "Dilation2D",
                                          "Einsum"};
  return kOps.contains(n.op);
}

double sqnr_db(const Tensor& exact, const Tensor& quantized) {
  Sqnr sqnr;
  sqnr.add(exact, quantized);
  return sqnr.db();
}

void require_known(const std::vector<std::string>& names, const std::vector<std::string>& known, const char* what) {
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    throw UsageError(what, name + " is not in the graph", suggest(name, known));
  }
}

std::string exclusion(const Node& n, const QuantizeOptions& options) {
  auto listed = [](const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  if (listed(options.exclude_nodes, n.name)) return "excluded by name";
  return listed(options.exclude_ops, n.op) ? "excluded by op" : "";
}

std::string bad_range(const Graph& graph, Value input, const Ranges& ranges) {
  const auto range = ranges.values.find(graph.name_of(input));
  if (range == ranges.values.end()) return "no range of its input " + graph.name_of(input);
  if (is_degenerate(range->second)) return "its input was one number in calibration";
  return range->second.high - range->second.low < 1e9f ? "" : "its input ran away in calibration";
}

// Why a layer stays in float; empty: it does not.
std::string obstacle(const Graph& graph, const Node& n, const Ranges& ranges, const QuantizeOptions& options) {
  if (const std::string excluded = exclusion(n, options); !excluded.empty()) return excluded;
  if (!has_int8_form(n.op)) return n.op + " has no INT8 form";
  const Tensor* filter = n.inputs.size() == 2 ? graph.constant(n.inputs[1]) : nullptr;
  if (!filter || filter->dtype() != DType::f32) return "its filter is not a float constant";
  if (n.op == "MatMul" && n.attr_or("transpose_a", false)) return "it transposes its input";
  if (const auto format = data_format(n); !is_channels_first(n) && !is_channels_last(n)) return "its data is " + format;
  if (n.op == "Conv3D" && filter->dim(-2) % k16BitSafeRows != 0)
    return "its " + std::to_string(filter->dim(-2)) + " channels are not groups of " + std::to_string(k16BitSafeRows);
  if (options.records) return options.records->contains(n.name) ? "" : "it has no record";
  return bad_range(graph, n.inputs[0], ranges);
}

// Every record is of a layer of the graph.
void check_records(const Graph& graph, const Records& records) {
  std::vector<std::string> layers;
  for (NodeId id : graph.ids())
    if (has_int8_form(graph.node(id).op)) layers.push_back(graph.node(id).name);
  for (const auto& [name, record] : records) {
    if (std::find(layers.begin(), layers.end(), name) != layers.end()) continue;
    throw Error("record of " + name, "the graph has no layer of this name", suggest(name, layers));
  }
}

// The BiasAdd (or Add of a constant per channel) right behind; -1.
NodeId bias_after(const Graph& graph, const Consumers& uses, NodeId conv, int64_t channels) {
  const std::optional<BiasNode> at = bias_behind(graph, uses, {conv, 0});
  return at && at->input == 0 && at->bias->dtype() == DType::f32 && at->bias->size() == channels ? at->node : -1;
}

// By how much rounding a filter moves the mean of each output channel: the sum over inputs of mean(x) * (dequantized - exact)
// weight. mean(x) per input channel; empty: not known.
std::vector<double> moved_by_rounding(const Node& conv, const Tensor& filter, const Tensor& dequantized, const Range& range) {
  const int64_t channels = output_channels(conv.op, filter.shape());
  const int64_t in = conv.op == "DepthwiseConv2dNative" ? filter.dim(2) : filter.dim(-2);
  if (static_cast<int64_t>(range.channel_mean.size()) != in) return {};
  std::vector<double> moved(static_cast<size_t>(channels), 0);
  for (int64_t i = 0; i < filter.size(); ++i) {
    const int64_t out = i % channels, from = conv.op == "DepthwiseConv2dNative" ? out / filter.dim(3) : i / channels % in;
    moved[static_cast<size_t>(out)] += static_cast<double>(range.channel_mean[static_cast<size_t>(from)]) *
                                       (static_cast<double>(dequantized.data<float>()[i]) - filter.data<float>()[i]);
  }
  return moved;
}

// The bias takes back what the mean of each output channel moved.
void correct_bias(Graph& graph, NodeId bias_node, const std::string& layer, const std::vector<double>& moved) {
  Tensor bias = graph.constant(graph.node(bias_node).inputs[1])->clone();
  for (size_t c = 0; c < moved.size(); ++c) bias.data<float>()[c] -= static_cast<float>(moved[c]);
  const Value corrected = graph.add_const(layer + "/corrected_bias", bias);
  graph.node(bias_node).inputs[1] = corrected;
}

// Largest magnitude of the filter's numbers per input channel.
std::vector<float> filter_reach(const Tensor& filter, bool depthwise) {
  const int64_t in = depthwise ? filter.dim(2) : filter.dim(-2), inner = filter.dim(-1);
  std::vector<float> reach(static_cast<size_t>(in), 0);
  for (int64_t i = 0; i < filter.size(); ++i) {
    float& r = reach[static_cast<size_t>(i / inner % in)];
    r = std::max(r, std::abs(filter.data<float>()[i]));
  }
  return reach;
}

// What the observer cut off the whole is cut off the channels.
void clip_channels(Range& range) {
  for (float& low : range.channel_low) low = std::max(low, range.low);
  for (float& high : range.channel_high) high = std::min(high, range.high);
}

// Multiplies the input channels and divides the filter; the range becomes that of the scaled input.
void equalize(Graph& graph, NodeId conv, const std::vector<float>& factors, Tensor& filter, Range& range) {
  const Node& n = graph.node(conv);
  const std::string name = n.name;
  const Value input = n.inputs[0];
  const int64_t in = static_cast<int64_t>(factors.size()), inner = filter.dim(-1);
  filter = filter.clone();
  for (int64_t i = 0; i < filter.size(); ++i) filter.data<float>()[i] /= factors[static_cast<size_t>(i / inner % in)];
  range.low = range.high = 0;
  for (size_t c = 0; c < factors.size(); ++c) {
    range.low = std::min(range.low, range.channel_low[c] *= factors[c]);
    range.high = std::max(range.high, range.channel_high[c] *= factors[c]);
    if (c < range.channel_mean.size()) range.channel_mean[c] *= factors[c];
  }
  Node mul;
  mul.name = graph.unique_name(name + "/equalized");
  mul.op = "Mul";
  mul.inputs = {input, graph.add_const(name + "/equalization", Tensor::from({in}, factors))};
  mul.attrs["T"] = DType::f32;
  graph.node(conv).inputs[0] = {graph.add(std::move(mul)), 0};
}

// Whether it has fewer bits where such are asked for.
bool may_have_few_bits(const std::string& layer, const std::string& op, const Tensor& filter, const QuantizeOptions& options) {
  const std::vector<std::string>& kept = options.eight_bit_nodes;
  return !keeps_8_bits(op, filter) && std::find(kept.begin(), kept.end(), layer) == kept.end();
}

WeightLimits limits_of(const std::string& layer, const std::string& op, const Tensor& filter, const QuantizeOptions& options) {
  if (op == "DepthwiseConv2dNative") return {};
  if (options.weight_bits == 4 && may_have_few_bits(layer, op, filter, options)) return {7, false};
  return {options.reduce_range ? 64 : 127, !options.full_range};
}

// By the scales of a record.
RoundedLayer recorded(const QuantizeOptions& options, const QuantizedLayer& layer, const Tensor& filter, int64_t channels,
                      RoundingInput input) {
  const LayerRecord& r = options.records->at(layer.name);
  if (r.scale_w.size() != 1 && static_cast<int64_t>(r.scale_w.size()) != channels)
    throw Error(
        "record of " + layer.name,
        "has " + std::to_string(r.scale_w.size()) + " scale_w, and the layer " + std::to_string(channels) + " output channels",
        "one for each, or one for all");
  const InputMoments* moments = nullptr;
  if (r.learned && options.moments)
    if (const auto m = options.moments->layers.find(layer.name); m != options.moments->layers.end()) moments = &m->second;
  input.scales = r.scale_w;
  return round_learned(filter, channels, r.scale_w.size() > 1, {}, r.cluster, moments, input);
}

// Quantized values that may occur in a filter, ascending; empty: all.
std::vector<int> levels_of(const std::string& layer, const std::string& op, const Tensor& filter, int64_t channels,
                           const QuantizeOptions& options, const WeightLimits& limits) {
  if (options.nuq_steps == 0 || !may_have_few_bits(layer, op, filter, options)) return {};
  return best_clusters(value_counts(quantize_weights(filter, channels, options.per_channel, limits).values), options.nuq_steps)
      .levels;
}

// Rounded by what is known of the layer's input, or, in few bits, with the best scales; null: each weight to the nearest.
std::shared_ptr<const RoundedLayer> learned(const QuantizeOptions& options, const std::string& layer, const Tensor& filter,
                                            int64_t channels, const WeightLimits& limits, const std::vector<int>& levels,
                                            const RoundingInput& input) {
  const InputMoments* moments = nullptr;
  if (options.moments)
    if (const auto m = options.moments->layers.find(layer); m != options.moments->layers.end()) moments = &m->second;
  if (!moments && levels.empty() && limits.max_abs > 7) return {};
  const auto make = [&] { return round_learned(filter, channels, options.per_channel, limits, levels, moments, input); };
  if (!options.moments) return std::make_shared<const RoundedLayer>(make());
  const auto bytes = [](const auto& v) { return std::string_view(reinterpret_cast<const char*>(&v), sizeof v); };
  Hash key;
  key.add({static_cast<const char*>(filter.raw()), filter.bytes()}).add(bytes(input.step)).add(bytes(limits.max_abs));
  key.add(std::to_string(limits.safe_16bit) + std::to_string(options.per_channel));
  key.add(std::to_string(options.nuq_steps));
  return options.moments->rounded(layer + " " + key.text(), make);
}

// shared: values that others read quantized with the same scale, so that their channels keep one scale.
void quantize_layer(Graph& graph, const Consumers& uses, const Ranges& ranges, const QuantizeOptions& options,
                    const std::set<std::string>& shared, QuantizedLayer& layer) {
  NodeId id = graph.require(layer.name);
  Range range;
  if (const auto known = ranges.values.find(layer.input_name); known != ranges.values.end()) range = known->second;
  const bool channels_first = graph.node(id).op != "MatMul" && is_channels_first(graph.node(id));
  if (channels_first) {
    id = put_channels_last(graph, id, graph.constant(graph.node(id).inputs[1])->rank());
    range = {range.low, range.high, {}, {}, {}};  // its channels were not innermost
  }
  store_transposed(graph, id);
  const Node n = graph.node(id);
  Tensor filter = *graph.constant(n.inputs[1]);
  const int64_t channels = output_channels(n.op, filter.shape());
  RoundingInput rounding;
  clip_channels(range);
  if (options.equalize && !options.records && !shared.contains(layer.input_name))
    if (rounding.factors = equalization(filter, n.op == "DepthwiseConv2dNative", range); !rounding.factors.empty())
      equalize(graph, id, rounding.factors, filter, range);
  layer.precision = LayerPrecision::int8;
  layer.input =
      options.records ? options.records->at(layer.name).input() : QuantParams::of_range(range.low, range.high, options.symmetric);
  const NodeId bias = options.bias_correction && !channels_first ? bias_after(graph, uses, id, channels) : -1;
  rounding.step = layer.input.scale;
  const WeightLimits limits = limits_of(layer.name, n.op, filter, options);
  const std::vector<int> levels =
      options.records ? options.records->at(layer.name).cluster : levels_of(layer.name, n.op, filter, channels, options, limits);
  layer.weight_bits = limits.max_abs <= 7 ? 4 : levels.empty() || levels.size() > 32 ? 8 : levels.size() <= 16 ? 4 : 5;
  const std::shared_ptr<const RoundedLayer> rounded =
      options.records ? std::make_shared<const RoundedLayer>(recorded(options, layer, filter, channels, rounding))
                      : learned(options, layer.name, filter, channels, limits, levels, rounding);
  const QuantizedWeights weights = rounded ? rounded->weights : quantize_weights(filter, channels, options.per_channel, limits);
  const Tensor dequantized = dequantize_weights(weights);
  layer.weight_sqnr_db = sqnr_db(filter, dequantized);
  if (bias >= 0)
    if (const auto moved = rounded && !rounded->moved.empty() ? rounded->moved : moved_by_rounding(n, filter, dequantized, range);
        !moved.empty())
      correct_bias(graph, bias, n.name, moved);
  set_quantized(graph, id, layer.input, weights);
}

void quantize_row_inputs(Graph& graph, const std::vector<RowInput>& inputs, const Ranges& ranges, const QuantizeOptions& options,
                         QuantizeReport& report) {
  for (size_t i = 0; i < inputs.size();) {
    const NodeId op = inputs[i].op;
    const Node& n = graph.node(op);
    QuantizedLayer layer{n.name, n.op, LayerPrecision::float32, exclusion(n, options), {}, graph.name_of(inputs[i].value), {}};
    const size_t first = i;
    for (; i < inputs.size() && inputs[i].op == op; ++i)
      if (layer.why.empty()) layer.why = bad_range(graph, inputs[i].value, ranges);
    if (layer.why.empty()) {
      const auto quant_of = [&](const RowInput& in) {
        const Range& range = ranges.values.at(graph.name_of(in.value));
        return QuantParams::of_range(range.low, range.high, options.symmetric);
      };
      layer.precision = LayerPrecision::int8;
      layer.input = quant_of(inputs[first]);
      for (size_t at = first; at < i; ++at) {
        const Value number = add_fake_quant(graph, inputs[at].value, quant_of(inputs[at]));
        graph.node(inputs[at].node).inputs[inputs[at].input] = number;
      }
    }
    report.layers.push_back(std::move(layer));
  }
}

}  // namespace

std::vector<float> equalization(const Tensor& filter, bool depthwise, const Range& input) {
  const std::vector<float> reach = filter_reach(filter, depthwise);
  if (input.channel_low.size() != reach.size() || input.channel_high.size() != reach.size()) return {};
  std::vector<float> factors(reach.size(), 1);
  float largest = 0;
  for (float r : reach) largest = std::max(largest, r);
  const float span = std::max(-input.low, input.high);
  if (!(span > 0) || !(largest > 0)) return {};
  float max = 0;
  for (size_t c = 0; c < reach.size(); ++c) {
    // Channels that are nearly silent (in input or filter) count as 1/100 of the greatest: their factor stays bounded.
    const float x = std::max(std::max(-input.channel_low[c], input.channel_high[c]), span / 100),
                w = std::max(reach[c], largest / 100);
    factors[c] = depthwise ? 1 / x : std::sqrt(w / x);
    max = std::max(max, factors[c]);
  }
  for (float& f : factors) f = static_cast<float>(Half(f / max));
  return factors;
}

void check_names(const Graph& graph, const QuantizeOptions& options) {
  std::vector<std::string> nodes;
  for (NodeId id : graph.ids()) nodes.push_back(graph.node(id).name);
  for (const std::string& op : options.exclude_ops)
    for (NodeId id : graph.ids())
      if (const std::string& known = graph.node(id).op; op != known && lower_ascii(op) == lower_ascii(known))
        throw UsageError("excluded ops", op + " is not in the graph", "did you mean " + known + "?");
  require_known(options.exclude_nodes, nodes, "excluded nodes");
  require_known(options.eight_bit_nodes, nodes, "nodes of 8 bits");
}

std::string unknown_exclusions(const Graph& graph, const QuantizeOptions& options) {
  std::set<std::string> ops;
  for (NodeId id : graph.ids()) ops.insert(graph.node(id).op);
  std::string text;
  for (const std::string& op : options.exclude_ops)
    if (!ops.contains(op)) {
      const std::string near = suggest(op, {ops.begin(), ops.end()});
      text += (text.empty() ? "excluded ops: " : "; ") + op + " is not in the graph";
      if (near.starts_with("did you mean")) text += ", " + near;
    }
  return text;
}

bool keeps_8_bits(const std::string& op, const Tensor& filter) { return op == "DepthwiseConv2dNative" || filter.size() < 1024; }

const char* name_of(LayerPrecision precision) { return precision == LayerPrecision::int8 ? "int8" : "float"; }

int QuantizeReport::int8_layers() const {
  return static_cast<int>(
      std::count_if(layers.begin(), layers.end(), [](const QuantizedLayer& l) { return l.precision == LayerPrecision::int8; }));
}

QuantizeReport quantize(Graph& graph, const Ranges& ranges, const QuantizeOptions& options) {
  if (has_quantized(graph)) throw Error("graph", "is quantized already", "start from the float graph");
  check_names(graph, options);
  if (options.records) check_records(graph, *options.records);
  if (const std::string hash = graph_hash(graph); ranges.graph_hash != hash)
    throw Error("ranges", "belong to another graph (hash " + ranges.graph_hash + ", this graph's is " + hash + ")",
                "calibrate this graph");
  QuantizeReport report;
  const Consumers uses(graph);
  const Frames frames(graph);
  const std::vector<RowInput> rows = row_inputs(graph, options.elementwise.value_or(false));  // of the graph as it is calibrated
  std::set<std::string> shared;
  for (const RowInput& in : rows) shared.insert(graph.name_of(in.value));
  for (NodeId id : graph.topological_order()) {
    if (!has_int8_form(graph.node(id).op) && !is_float_layer(graph.node(id))) continue;
    const Node& n = graph.node(id);
    const std::string why =
        frames.is_inside(id) ? "it runs in a loop or behind a condition" : obstacle(graph, n, ranges, options);
    QuantizedLayer layer{n.name, n.op, LayerPrecision::float32, why, {}, graph.name_of(n.inputs.at(0)), {}};
    if (layer.why.empty()) quantize_layer(graph, uses, ranges, options, shared, layer);
    report.layers.push_back(std::move(layer));
  }
  if (!options.records) quantize_row_inputs(graph, rows, ranges, options, report);
  if (report.layers.empty()) throw Error("graph", "has no Conv2D, DepthwiseConv2dNative or MatMul to quantize");
  return report;
}

QuantizeReport report_of(const Graph& graph) {
  QuantizeReport report;
  for (NodeId id : graph.topological_order()) {
    const Node& n = graph.node(id);
    if (!has_int8_form(n.op) && !is_float_layer(n)) continue;
    QuantizedLayer layer{n.name, n.op, LayerPrecision::float32, "its input or filter is not fake-quantized with constant ranges",
                         {},     {}};
    layer.input_name = graph.name_of(n.inputs.at(0));
    if (const std::optional<QuantizedConv> q = has_int8_form(n.op) ? quantized_conv(graph, id) : std::nullopt) {
      const int8_t* values = q->weights.values.data<int8_t>();
      const bool four = std::all_of(values, values + q->weights.values.size(), [](int8_t c) { return std::abs(c) <= 7; });
      layer.precision = LayerPrecision::int8;
      layer.why.clear();
      layer.input = q->quant;
      layer.input_name = graph.name_of(q->input);
      layer.weight_bits = four && !keeps_8_bits(n.op, q->weights.values) ? 4 : 8;
    }
    report.layers.push_back(std::move(layer));
  }
  return report;
}

std::map<std::string, Range> result_ranges(const Graph& graph, const Ranges& ranges, const std::set<std::string>& outputs) {
  std::map<std::string, Range> found;
  const Consumers uses(graph);
  std::set<NodeId> kept;
  for (const std::string& name : outputs)
    if (const NodeId id = graph.find(name); id >= 0) kept.insert(id);
  for (NodeId id : graph.ids()) {
    if (!has_int8_form(graph.node(id).op) || !is_quantized(graph, id)) continue;
    const ConvTail tail = conv_tail(graph, uses, kept, id);
    for (NodeId at : {tail.last, tail.bias}) {
      if (at < 0) continue;
      auto r = ranges.values.find(graph.node(at).name);
      if (r == ranges.values.end()) continue;
      found[graph.node(id).name] = r->second;
      break;
    }
  }
  return found;
}

std::map<std::string, std::pair<float, float>> output_ranges(const Graph& graph, const Ranges& ranges,
                                                             const std::set<std::string>& outputs) {
  std::map<std::string, std::pair<float, float>> found;
  for (const auto& [layer, range] : result_ranges(graph, ranges, outputs)) found[layer] = {range.low, range.high};
  return found;
}

}  // namespace cytodet::quant
