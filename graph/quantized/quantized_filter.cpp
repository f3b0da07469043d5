#include "graph/quantized/quantized_filter.h"

#include <cstring>

#include "graph/ir/conv_node.h"

namespace cytodet::graph {

Value add_quantized_filter(Graph& graph, const std::string& name, const std::string& op, const QuantizedWeights& weights) {
  const Shape shape = weights.values.shape();
  const int64_t channels = output_channels(op, shape);
  const bool depthwise = op == "DepthwiseConv2dNative";
  Tensor values(DType::qint8, depthwise ? Shape{shape[0], shape[1], 1, channels} : shape);
  std::memcpy(values.raw(), weights.values.raw(), static_cast<size_t>(values.size()));
  const bool per_channel = weights.scales.size() > 1 || channels == 1;
  std::vector<float> low, high;
  for (float s : weights.scales) low.push_back(-127 * s), high.push_back(127 * s);
  const Shape ranges = per_channel ? Shape{channels} : Shape{};
  const Value c = graph.add_const(name + "/filter_codes", values),
              lo = graph.add_const(name + "/filter_min", Tensor::from(ranges, low)),
              hi = graph.add_const(name + "/filter_max", Tensor::from(ranges, high));
  AttrMap attrs;
  attrs["T"] = DType::qint8;
  attrs["mode"] = std::string("SCALED");
  attrs["axis"] = static_cast<int64_t>(per_channel ? values.rank() - 1 : -1);
  Value filter = graph.add_new(name + "/filter", "Dequantize", {c, lo, hi}, attrs);
  if (depthwise && shape != values.shape()) {
    AttrMap reshape;
    reshape["T"] = DType::f32;
    reshape["Tshape"] = DType::i32;
    const std::vector<int32_t> sizes(shape.begin(), shape.end());
    const Value to = graph.add_const(name + "/filter_shape", Tensor::from({4}, sizes));
    filter = graph.add_new(name + "/filter_depthwise", "Reshape", {filter, to}, reshape);
  }
  return filter;
}

}  // namespace cytodet::graph
