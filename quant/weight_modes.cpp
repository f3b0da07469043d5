#include "quant/weight_modes.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "graph/ir/conv_node.h"
#include "graph/ir/op.h"
#include "graph/quantized/quantized_filter.h"
#include "quant/layout.h"

namespace cytodet::quant {
namespace {

bool has_filter(const std::string& op) { return op == "Conv2D" || op == "DepthwiseConv2dNative" || op == "MatMul"; }

int64_t bytes_of_floats(const Graph& graph) {
  int64_t bytes = 0;
  for (NodeId id : graph.ids())
    if (const Tensor* t = graph.constant(id); t && t->dtype() == DType::f32) bytes += static_cast<int64_t>(t->bytes());
  return bytes;
}

}  // namespace

WeightReport weights_to_int8(Graph& graph, bool per_channel) {
  WeightReport report{0, bytes_of_floats(graph), 0};
  report.after = report.before;
  std::set<NodeId> replaced;
  for (NodeId id : graph.ids()) {
    if (!has_filter(graph.node(id).op) || graph.node(id).inputs.size() < 2) continue;
    const Tensor* filter = graph.constant(graph.node(id).inputs[1]);
    if (!filter || filter->dtype() != DType::f32 || filter->size() < kMinInt8Weights) continue;
    store_transposed(graph, id);
    const Node& n = graph.node(id);
    const Tensor values = *graph.constant(n.inputs[1]);
    const QuantizedWeights weights = quantize_weights(values, output_channels(n.op, values.shape()), per_channel);
    replaced.insert(n.inputs[1].node);
    const std::string name = n.name, op = n.op;
    graph.node(id).inputs[1] = add_quantized_filter(graph, name, op, weights);
    report.after += values.size() + 4 * static_cast<int64_t>(weights.scales.size()) - static_cast<int64_t>(values.bytes());
    ++report.changed;
  }
  const Consumers uses(graph);
  for (NodeId id : replaced)
    if (uses.of(id).empty() && uses.controls_of(id).empty()) graph.remove(id);
  return report;
}

WeightReport constants_to_float16(Graph& graph) {
  WeightReport report{0, bytes_of_floats(graph), 0};
  report.after = report.before;
  for (NodeId id : graph.ids()) {
    const Tensor* t = graph.constant(id);
    if (!t || t->dtype() != DType::f32 || t->size() < kMinFloat16Values || !graph.node(id).controls.empty()) continue;
    const auto values = t->span<float>();
    if (std::any_of(values.begin(), values.end(), [](float v) { return std::isfinite(v) && std::abs(v) > 65504; })) continue;
    Tensor fp16(DType::f16, t->shape());
    std::transform(values.begin(), values.end(), fp16.data<Half>(), [](float v) { return Half(v); });
    report.after -= static_cast<int64_t>(fp16.bytes());
    ++report.changed;
    const Value half = graph.add_const(graph.node(id).name + "/float16", fp16);
    Node& n = graph.node(id);
    n.op = "Cast";
    n.inputs = {half};
    n.attrs.clear();
    n.attrs.emplace("SrcT", DType::f16);
    n.attrs.emplace("DstT", DType::f32);
  }
  return report;
}

}  // namespace cytodet::quant
