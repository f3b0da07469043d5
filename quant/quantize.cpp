#include "quant/quantize.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/names.h"
#include "graph/op.h"

namespace cytodet {
namespace {

bool is_layer(const Node& n) { return n.op == "Conv2D" || n.op == "DepthwiseConv2dNative" || n.op == "MatMul"; }

int64_t output_channels(const Node& n, const Tensor& filter) {
  return n.op == "DepthwiseConv2dNative" ? filter.dim(2) * filter.dim(3) : filter.dim(-1);
}

double sqnr_db(const Tensor& exact, const Tensor& coded) {
  double signal = 0, noise = 0;
  for (int64_t i = 0; i < exact.size(); ++i) {
    const double e = exact.data<float>()[i], d = e - coded.data<float>()[i];
    signal += e * e;
    noise += d * d;
  }
  return noise > 0 ? 10 * std::log10(signal / noise) : 200;
}

void require_known(const std::vector<std::string>& names, const std::vector<std::string>& known, const char* what) {
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    throw UsageError(what, name + " is not in the graph", suggest(name, known));
  }
}

void check_exclusions(const Graph& graph, const QuantizeOptions& options) {
  std::vector<std::string> ops, nodes;
  for (NodeId id : graph.ids()) {
    ops.push_back(graph.node(id).op);
    nodes.push_back(graph.node(id).name);
  }
  std::sort(ops.begin(), ops.end());
  ops.erase(std::unique(ops.begin(), ops.end()), ops.end());
  require_known(options.exclude_ops, ops, "exclude_ops");
  require_known(options.exclude_nodes, nodes, "exclude_nodes");
}

// Why a layer stays in float; empty: it does not.
std::string obstacle(const Graph& graph, const Node& n, const Ranges& ranges, const QuantizeOptions& options) {
  auto listed = [](const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  if (listed(options.exclude_nodes, n.name)) return "excluded by name";
  if (listed(options.exclude_ops, n.op)) return "excluded by op";
  const Tensor* filter = n.inputs.size() == 2 ? graph.constant(n.inputs[1]) : nullptr;
  if (!filter || filter->dtype() != DType::f32) return "its filter is not a float constant";
  if (n.op == "MatMul" && (n.attr_or("transpose_a", false) || n.attr_or("transpose_b", false))) return "it transposes";
  if (n.attr_or<std::string>("data_format", "NHWC") != "NHWC") return "its data is not NHWC";
  auto range = ranges.values.find(graph.name_of(n.inputs[0]));
  if (range == ranges.values.end()) return "no range of its input " + graph.name_of(n.inputs[0]);
  if (is_degenerate(range->second)) return "its input was one number in calibration";
  if (!(range->second.high - range->second.low < 1e9f)) return "its input ran away in calibration";
  return {};
}

// The BiasAdd (or Add of a constant per channel) right behind; -1.
NodeId bias_after(const Graph& graph, const Consumers& uses, NodeId conv, int64_t channels) {
  const auto readers = uses.of(Value{conv, 0});
  if (readers.size() != 1) return -1;
  const Node& n = graph.node(readers[0].node);
  if (n.op != "BiasAdd" && n.op != "AddV2" && n.op != "Add") return -1;
  const Tensor* bias = graph.constant(n.inputs[1]);
  return bias && bias->dtype() == DType::f32 && bias->size() == channels && readers[0].input == 0 ? readers[0].node : -1;
}

// The mean output moves by sum over inputs of mean(x) * (coded - exact) weight; the bias takes it back. mean(x) per input channel.
void correct_bias(Graph& graph, const Consumers& uses, NodeId conv, const Tensor& filter, const Tensor& coded, const Range& range) {
  if (range.channel_mean.empty()) return;
  const Node& n = graph.node(conv);
  const int64_t channels = output_channels(n, filter);
  const NodeId at = bias_after(graph, uses, conv, channels);
  const int64_t in = n.op == "DepthwiseConv2dNative" ? filter.dim(2) : filter.dim(-2);
  if (at < 0 || static_cast<int64_t>(range.channel_mean.size()) != in) return;
  std::vector<double> moved(static_cast<size_t>(channels), 0);
  for (int64_t i = 0; i < filter.size(); ++i) {
    const int64_t out = i % channels, from = n.op == "DepthwiseConv2dNative" ? out / filter.dim(3) : i / channels % in;
    moved[static_cast<size_t>(out)] += static_cast<double>(range.channel_mean[static_cast<size_t>(from)]) *
                                       (static_cast<double>(coded.data<float>()[i]) - filter.data<float>()[i]);
  }
  Tensor bias = graph.constant(graph.node(at).inputs[1])->clone();
  for (int64_t c = 0; c < channels; ++c) bias.data<float>()[c] -= static_cast<float>(moved[static_cast<size_t>(c)]);
  const Value corrected = graph.add_const(n.name + "/corrected_bias", bias);
  graph.node(at).inputs[1] = corrected;
}

}  // namespace

int QuantizeReport::int8_layers() const {
  return static_cast<int>(std::count_if(layers.begin(), layers.end(), [](const QuantizedLayer& l) { return l.precision == "int8"; }));
}

QuantizeReport quantize(Graph& graph, const Ranges& ranges, const QuantizeOptions& options) {
  if (has_quantized(graph)) throw Error("graph", "is quantized already", "start from the float graph");
  check_exclusions(graph, options);
  if (const std::string hash = graph_hash(graph); ranges.graph_hash != hash)
    throw Error("ranges", "belong to another graph (hash " + ranges.graph_hash + ", this graph's is " + hash + ")",
                "calibrate this graph");
  QuantizeReport report;
  const Consumers uses(graph);
  for (NodeId id : graph.topological_order()) {
    if (!is_layer(graph.node(id))) continue;
    const Node& n = graph.node(id);
    QuantizedLayer layer{n.name, n.op, "float", obstacle(graph, n, ranges, options), {}, graph.name_of(n.inputs.at(0)), 0};
    if (layer.why.empty()) {
      const Tensor filter = *graph.constant(n.inputs[1]);
      const Range& range = ranges.values.at(layer.input_name);
      layer.precision = "int8";
      layer.input = Quant::of_range(range.low, range.high, options.symmetric);
      const QuantWeights weights = quantize_weights(filter, output_channels(n, filter), options.per_channel);
      const Tensor coded = dequantize_weights(weights);
      layer.weight_sqnr_db = sqnr_db(filter, coded);
      if (options.bias_correction) correct_bias(graph, uses, id, filter, coded, range);
      set_quantized(graph, id, layer.input, weights);
    }
    report.layers.push_back(std::move(layer));
  }
  if (report.layers.empty()) throw Error("graph", "has no Conv2D, DepthwiseConv2dNative or MatMul to quantize");
  return report;
}

std::map<std::string, std::pair<float, float>> output_ranges(const Graph& graph, const Ranges& ranges) {
  std::map<std::string, std::pair<float, float>> found;
  const Consumers uses(graph);
  for (NodeId id : graph.ids()) {
    if (!is_layer(graph.node(id)) || !quantized(graph, id)) continue;
    // The last of conv -> bias -> relu whose range is known.
    for (NodeId at = id;;) {
      if (auto r = ranges.values.find(graph.node(at).name); r != ranges.values.end())
        found[graph.node(id).name] = {r->second.low, r->second.high};
      const auto readers = uses.of(Value{at, 0});
      if (readers.size() != 1 || readers[0].input != 0) break;
      const std::string& op = graph.node(readers[0].node).op;
      if (op != "BiasAdd" && op != "AddV2" && op != "Relu" && op != "Relu6") break;
      at = readers[0].node;
    }
  }
  return found;
}

}  // namespace cytodet
