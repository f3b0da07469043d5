// Transforms of constants' values.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "graph/ir/op.h"
#include "pipeline/transform/transforms.h"

namespace cytodet::pipeline {
namespace {

// Constants of at least `smallest` floats.
std::vector<NodeId> large_constants(const Graph& g, double smallest) {
  std::vector<NodeId> found;
  for (NodeId id : g.ids()) {
    const Tensor* t = g.constant(id);
    if (t && t->dtype() == DType::f32 && static_cast<double>(t->size()) >= smallest) found.push_back(id);
  }
  return found;
}

// Least and greatest; throws Error where a value is not finite.
std::pair<float, float> extremes_of(const Graph& g, NodeId id) {
  const auto values = g.constant(id)->span<float>();
  for (float v : values)
    if (!std::isfinite(v)) throw Error("node " + g.node(id).name, "holds a number that is not finite");
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {*low, *high};
}

}  // namespace

// The range holds 0; a range of one point is widened.
void transform_quantize_weights(TransformContext& c) {
  Graph& g = c.graph;
  for (NodeId id : large_constants(g, std::max(1.0, c.call.number("minimum_size", 1024)))) {
    auto [low, high] = extremes_of(g, id);
    low = std::min(low, 0.0f);
    high = std::max(high, 0.0f);
    if (low == high) high = std::abs(low) < 1e-6f ? low + 1 : low > 0 ? 2 * low : low / 2;
    const std::string name = g.node(id).name;
    Node quantize;
    quantize.name = name;
    quantize.op = "QuantizeV2";
    quantize.attrs = {{"T", DType::quint8}, {"mode", std::string("MIN_FIRST")}, {"ensure_minimum_range", 0.0f}};
    const std::vector<Tensor> in{*g.constant(id), Tensor::scalar(low), Tensor::scalar(high)};
    const std::vector<NodeId> controls = g.node(id).controls;
    const Value quantized = g.add_const(name + "_quantized_const", evaluate(quantize, in)[0]),
                least = g.add_const(name + "_quantized_min", Tensor::scalar(low)),
                most = g.add_const(name + "_quantized_max", Tensor::scalar(high));
    // What lives in a loop waits for it.
    for (Value v : {quantized, least, most}) g.node(v.node).controls = controls;
    Node& n = g.node(id);
    n.op = "Dequantize";
    n.inputs = {quantized, least, most};
    n.controls.clear();
    n.attrs = {{"T", DType::quint8}, {"mode", std::string("MIN_FIRST")}};
  }
}

void transform_round_weights(TransformContext& c) {
  const double steps = c.call.number("num_steps", 256);
  if (steps < 2 || steps > 1 << 24 || steps != std::floor(steps)) throw Error(c.call.name, "needs num_steps of 2 and more");
  for (NodeId id : large_constants(c.graph, 16)) {
    const auto [low, high] = extremes_of(c.graph, id);
    if (low == high) continue;
    const Tensor& from = *c.graph.constant(id);
    Tensor rounded(DType::f32, from.shape());
    const double step = (static_cast<double>(high) - low) / (steps - 1);
    for (int64_t i = 0; i < from.size(); ++i)
      rounded.data<float>()[i] =
          static_cast<float>(low + std::round((from.data<float>()[i] - static_cast<double>(low)) / step) * step);
    c.graph.node(id).attrs.insert_or_assign("value", Attr(std::move(rounded)));
  }
}

}  // namespace cytodet::pipeline
