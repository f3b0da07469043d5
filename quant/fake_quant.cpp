#include "quant/fake_quant.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "graph/ir/conv_node.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::quant {
namespace {

int bits_for(const Tensor& values) {
  const int8_t* v = values.data<int8_t>();
  return std::all_of(v, v + values.size(), [](int8_t c) { return std::abs(c) <= 7; }) ? 4 : 8;
}

Value fake(Graph& g, const std::string& name, const char* op, Value x, Value low, Value high, int bits, bool narrow) {
  return g.add_new(name, op, {x, low, high}, {{"num_bits", int64_t{bits}}, {"narrow_range", narrow}});
}

Value reshaped(Graph& g, const std::string& name, Value x, const Shape& shape) {
  const std::vector<int32_t> sizes(shape.begin(), shape.end());
  const Value to = g.add_const(name + "/shape", Tensor::from({static_cast<int64_t>(sizes.size())}, sizes));
  return g.add_new(name, "Reshape", {x, to}, {{"T", DType::f32}, {"Tshape", DType::i32}});
}

void rewrite_layer(Graph& g, NodeId id, const QuantizedConv& q) {
  const std::string name = g.node(id).name, op = g.node(id).op;
  const auto number = [&](const char* what, float v) { return g.add_const(name + what, Tensor::scalar(v)); };
  const bool narrow = q.quant.is_signed;
  const Value x = fake(g, name + "/input", "FakeQuantWithMinMaxVars", q.input, number("/input_min", q.quant.low()),
                       number("/input_max", q.quant.high()), 8, narrow);
  const Shape shape = q.weights.values.shape();
  const int64_t channels = output_channels(op, shape);
  const int bits = bits_for(q.weights.values);
  const auto max_abs = static_cast<float>(bits == 4 ? 7 : 127);
  std::vector<float> low, high;
  for (float s : q.weights.scales) low.push_back(-max_abs * s), high.push_back(max_abs * s);
  const bool per_channel = low.size() > 1 || channels == 1;
  const bool depthwise = op == "DepthwiseConv2dNative";
  const Shape ends = per_channel ? Shape{channels} : Shape{};
  const Tensor floats = dequantize_weights(q.weights);
  const Value w = g.add_const(name + "/filter_float", depthwise ? floats.reshaped({shape[0], shape[1], 1, channels}) : floats),
              from = g.add_const(name + "/filter_min", Tensor::from(ends, low)),
              to = g.add_const(name + "/filter_max", Tensor::from(ends, high));
  Value filter = fake(g, name + "/filter_rounded", per_channel ? "FakeQuantWithMinMaxVarsPerChannel" : "FakeQuantWithMinMaxVars",
                      w, from, to, bits, true);
  if (depthwise) filter = reshaped(g, name + "/filter_shaped", filter, shape);
  g.node(id).inputs[0] = x;
  g.node(id).inputs[1] = filter;
}

}  // namespace

int to_fake_quant(Graph& graph) {
  int layers = 0;
  for (NodeId id : graph.topological_order()) {
    const std::optional<QuantizedConv> q = quantized_conv(graph, id);
    if (!q) continue;
    rewrite_layer(graph, id, *q);
    ++layers;
  }
  // What pools and other row ops read.
  const Consumers uses(graph);
  for (NodeId id : graph.topological_order()) {
    const std::optional<FakeQuantValue> q = fake_quant_value(graph, {id, 0});
    if (!q || uses.of(id).empty()) continue;
    const std::string name = graph.node(id).name;
    const Value low = graph.add_const(name + "/input_min", Tensor::scalar(q->quant.low())),
                high = graph.add_const(name + "/input_max", Tensor::scalar(q->quant.high()));
    graph.replace_uses({id, 0},
                       fake(graph, name + "/rounded", "FakeQuantWithMinMaxVars", q->input, low, high, 8, q->quant.is_signed));
  }
  return layers;
}

}  // namespace cytodet::quant
