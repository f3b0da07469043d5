#include "graph/passes/raise_fake_quant.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include "core/error.h"
#include "graph/ir/conv_node.h"
#include "graph/ir/op.h"
#include "graph/passes/node_edits.h"
#include "graph/passes/passes.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::graph {
namespace {

bool is_fake_quant_layer(const Node& n) {
  return (n.op == "Conv2D" || n.op == "DepthwiseConv2dNative" || n.op == "MatMul") && n.inputs.size() == 2;
}

int bits_of(const Node& n) { return static_cast<int>(n.attr_or("num_bits", int64_t{8})); }

std::optional<float> constant_scalar(const Graph& g, Value v) {
  const Tensor* t = g.constant(v);
  if (!t || t->dtype() != DType::f32 || t->size() != 1 || !std::isfinite(t->data<float>()[0])) return {};
  return t->data<float>()[0];
}

// Whether `scale` can be the step between quantized values: ranges near the largest or smallest floats have no such step.
bool is_step(float scale) { return std::isfinite(scale) && scale >= std::numeric_limits<float>::min(); }

// The grid of a FakeQuantWithMinMaxVars of 8 bits, as TensorFlow moves its ends until 0 is on it; empty: no such node, or its
// range is not constant.
std::optional<QuantParams> input_grid(const Graph& g, const Node& n) {
  if (n.op != "FakeQuantWithMinMaxVars" || n.inputs.size() != 3 || bits_of(n) != 8) return {};
  const std::optional<float> low = constant_scalar(g, n.inputs[1]), high = constant_scalar(g, n.inputs[2]);
  const bool narrow = n.attr_or("narrow_range", false);
  if (!low || !high || !(*low <= 0) || !(*high >= 0) || !(*low < *high)) return {};
  const float scale = (*high - *low) / (narrow ? 254.0f : 255.0f);
  if (!is_step(scale)) return {};
  if (narrow) return std::abs(*low + *high) > 1e-5f * *high ? std::optional<QuantParams>() : QuantParams{scale, 0, true};
  return QuantParams{scale, static_cast<int>(std::clamp(std::round(-*low / scale), 0.0f, 255.0f)), false};
}

// A constant filter behind a FakeQuant node of 2 to 8 bits and narrow ranges, one or one per channel.
struct FakeQuantFilter {
  const Tensor *weights, *low, *high;
  float max_value;  // of its quantized values: 2^(bits - 1) - 1
};
std::optional<FakeQuantFilter> fake_quant_filter(const Graph& g, const Node& n) {
  const bool per_channel = n.op == "FakeQuantWithMinMaxVarsPerChannel";
  if ((!per_channel && n.op != "FakeQuantWithMinMaxVars") || n.inputs.size() != 3 || bits_of(n) > 8 || bits_of(n) < 2) return {};
  if (!n.attr_or("narrow_range", false)) return {};
  const Tensor *w = g.constant(n.inputs[0]), *low = g.constant(n.inputs[1]), *high = g.constant(n.inputs[2]);
  for (const Tensor* t : {w, low, high})
    if (!t || t->dtype() != DType::f32) return {};
  if (low->size() != high->size()) return {};
  if (per_channel ? w->rank() == 0 || low->size() != w->dim(-1) : low->size() != 1) return {};
  return FakeQuantFilter{w, low, high, static_cast<float>((1 << (bits_of(n) - 1)) - 1)};
}

// The scale of each range of the filter, repeated for `channels` where there are several; empty where one is not symmetric.
std::vector<float> scales_of(const FakeQuantFilter& f, int64_t channels) {
  const int64_t groups = f.low->size();
  std::vector<float> scales;
  for (int64_t c = 0; c < (groups == 1 ? 1 : channels); ++c) {
    const float from = f.low->data<float>()[c % groups], to = f.high->data<float>()[c % groups];
    if (!std::isfinite(from) || !std::isfinite(to) || !(to > 0) || std::abs(from + to) > 1e-5f * to) return {};
    scales.push_back((to - from) / (2 * f.max_value));
    if (!is_step(scales.back())) return {};
  }
  return scales;
}

// The quantized values and scales of the filter of `shape` behind node `n`, which a layer of kind `op` reads.
std::optional<QuantizedWeights> quantized_weights_of(const Graph& g, const Node& n, const std::string& op, const Shape& shape) {
  const std::optional<FakeQuantFilter> f = fake_quant_filter(g, n);
  if (!f || f->weights->size() != elements(shape)) return {};
  const int64_t groups = f->low->size(), channels = output_channels(op, shape);
  if (channels < 1 || groups < 1 || channels % groups != 0) return {};
  QuantizedWeights q{Tensor(DType::i8, shape), scales_of(*f, channels)};
  if (q.scales.empty()) return {};
  for (int64_t i = 0; i < f->weights->size(); ++i) {
    const float steps = f->weights->data<float>()[i] / q.scale_of(static_cast<size_t>(i % channels));
    if (!std::isfinite(steps)) return {};
    q.values.data<int8_t>()[i] = static_cast<int8_t>(std::floor(std::clamp(steps, -f->max_value, f->max_value) + 0.5f));
  }
  return q;
}

//   x ─▶ FakeQuantWithMinMaxVars, 8 bits ───────────────────────────────────────────────────┐
//   filter ─▶ FakeQuantWithMinMaxVars | ...PerChannel, narrow ranges [─▶ Reshape constant] ─┴▶ Conv2D | Depthwise... | MatMul
// becomes
//   x ─▶ QuantizeV2 ─▶ Dequantize ─┐
//   8-bit filter ─▶ Dequantize ────┴▶ Conv2D | DepthwiseConv2dNative | MatMul
bool raise_fake_quant(Graph& g, NodeId id) {
  const Node& n = g.node(id);
  if (!is_fake_quant_layer(n) || (n.op == "MatMul" && (n.attr_or("transpose_b", false) || n.attr_or("transpose_a", false))))
    return false;
  if (n.op != "MatMul" && !is_channels_last(n)) return false;
  const Node& input = g.node(n.inputs[0].node);
  const std::optional<QuantParams> grid = input_grid(g, input);
  if (!grid || n.inputs[0].slot != 0) return false;
  Value behind = n.inputs[1];
  Shape shape;
  if (const Node& r = g.node(behind.node); r.op == "Reshape" && r.inputs.size() == 2 && g.constant(r.inputs[1])) {
    for (int64_t size : g.constant(r.inputs[1])->as_ints()) shape.push_back(size);
    if (std::any_of(shape.begin(), shape.end(), [](int64_t size) { return size < 1; })) return false;
    behind = r.inputs[0];
  }
  const Node& filter = g.node(behind.node);
  if (filter.inputs.empty()) return false;
  const Tensor* w = g.constant(filter.inputs[0]);
  if (!w) return false;
  if (shape.empty()) shape = w->shape();
  if (shape.size() != (n.op == "MatMul" ? 2u : 4u)) return false;
  const std::optional<QuantizedWeights> weights = quantized_weights_of(g, filter, n.op, shape);
  if (!weights) return false;
  g.node(id).inputs[0] = input.inputs[0];
  set_quantized(g, id, *grid, *weights);
  return true;
}

// What is wrong with the range of a FakeQuant node of a layer's input.
std::string input_problem(const Graph& g, const Node& n) {
  const std::string range = "the range of " + n.name + ", behind which its input lies, ";
  if (bits_of(n) != 8) return n.name + ", behind which its input lies, rounds to " + std::to_string(bits_of(n)) + " bits";
  if (n.inputs.size() != 3 || !g.constant(n.inputs[1]) || !g.constant(n.inputs[2])) return range + "is not constant";
  const std::optional<float> low = constant_scalar(g, n.inputs[1]), high = constant_scalar(g, n.inputs[2]);
  if (!low || !high) return range + "is not finite";
  return range + "goes from " + std::to_string(*low) + " to " + std::to_string(*high) + ", and must hold 0 and more";
}

}  // namespace

std::string why_not_raised(const Graph& g) {
  for (NodeId id : g.topological_order()) {
    const Node& n = g.node(id);
    if (!is_fake_quant_layer(n)) continue;
    const Node& input = g.node(n.inputs[0].node);
    if (!input.op.starts_with("FakeQuantWithMinMaxVars")) continue;
    if (!input_grid(g, input)) return n.name + ": " + input_problem(g, input);
    return n.name + ": its filter is not constant behind a FakeQuant node of a constant, finite, symmetric, narrow range";
  }
  return {};
}

bool pass_raise_fake_quant(Graph& g, const Interface& io) {
  bool changed = false;
  for (NodeId id : g.topological_order()) changed = raise_fake_quant(g, id) || changed;
  if (!changed) return false;
  // What others than layers read stays rounded, by nodes that have kernels.
  const Consumers uses(g);
  const std::set<NodeId> outputs = output_ids(g, io);
  for (NodeId id : g.topological_order()) {
    const std::optional<QuantParams> grid = input_grid(g, g.node(id));
    if (!grid || uses.of(id).empty() || outputs.contains(id)) continue;
    const Value input = g.node(id).inputs[0];
    g.replace_uses({id, 0}, add_fake_quant(g, input, *grid));
  }
  sweep(g, io);
  return true;
}

}  // namespace cytodet::graph
