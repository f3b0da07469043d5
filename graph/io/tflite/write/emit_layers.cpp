// Layers with weights, pools and resizes. Filters are permuted to TensorFlow Lite's order of dimensions.
#include <algorithm>
#include <limits>

#include "core/error.h"
#include "graph/io/tflite/write/emit.h"
#include "graph/ir/conv_node.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

// Dimension d of the result is d = perm[d] of t.
Tensor permuted(const Tensor& t, const std::vector<int64_t>& perm) {
  Node n;
  n.name = "turned";
  n.op = "Transpose";
  const Tensor order = Tensor::from<int32_t>({static_cast<int64_t>(perm.size())}, std::vector<int32_t>(perm.begin(), perm.end()));
  return evaluate(n, std::vector<Tensor>{t, order}).at(0);
}

struct Filter {
  Tensor numbers;
  std::vector<float> scales;  // of numbers that are 8-bit values times these, one or one for each output channel
};
// The second input: a float constant, or the form of graph/quantized/quant_nodes.h.
Filter filter_of(LiteEmit& e) {
  if (const auto q = quantized_conv(e.graph, e.id)) return {dequantize_weights(q->weights), q->weights.scales};
  const Tensor& t = e.need_constant(1);
  if (t.dtype() != DType::f32) throw Error("", "has a filter of type " + core::name_of(t.dtype()), "only float32 is written");
  Filter f{t, {}};
  // 8-bit weights of a layer that reads floats.
  Value v = e.n.inputs[1];
  const Node* d = &e.graph.node(v.node);
  if (d->op == "Reshape") d = &e.graph.node(d->inputs[0].node);
  if (d->op == "Dequantize" && d->inputs.size() == 3 && d->attr_or<std::string>("mode", "") == "SCALED")
    if (const Tensor* high = e.graph.constant(d->inputs[2]); high && high->dtype() == DType::f32)
      for (float h : high->span<float>()) f.scales.push_back(h / 127);
  return f;
}

int filter_tensor(LiteEmit& e, const Filter& f, Tensor numbers, int axis) {
  const int t = e.held("filter", std::move(numbers));
  e.at(t).channel_axis = axis;
  const int64_t channels = e.at(t).shape[static_cast<size_t>(axis)];
  if (f.scales.size() == 1 || static_cast<int64_t>(f.scales.size()) == channels) e.at(t).weight_scales = f.scales;
  return t;
}

std::vector<int64_t> plane_of(const LiteEmit& e, const char* name) {
  const AttrList list = e.n.attr_or(name, AttrList{});
  if (list.ints.size() != 4) return {1, 1};
  if (list.ints[0] != 1 || list.ints[3] != 1) throw Error("", "steps over images or channels", "such nodes are not written");
  return {list.ints[1], list.ints[2]};
}

void require_last(const LiteEmit& e) {
  if (!is_channels_last(e.n)) throw Error("", "has its channels first", "TensorFlow Lite wants them last");
}

// What the layer reads, padded where its padding is stated in numbers, and which padding is left.
struct Padded {
  int tensor;
  schema::Padding padding;
};
Padded padded(LiteEmit& e, size_t input, float fill = 0) {
  const std::string padding = e.n.attr<std::string>("padding");
  if (padding == "SAME") return {e.in(input), schema::Padding::SAME};
  if (padding != "EXPLICIT") return {e.in(input), schema::Padding::VALID};
  const std::vector<int64_t> pads = e.n.attr_or("explicit_paddings", AttrList{}).ints;
  Shape s = e.shape(input);
  if (pads.size() != 8 || s.size() != 4) throw Error("", "lacks its explicit_paddings");
  for (size_t d = 0; d < 4; ++d) s[d] += pads[2 * d] + pads[2 * d + 1];
  const int sizes = e.held("paddings", Tensor::from<int32_t>({4, 2}, std::vector<int32_t>(pads.begin(), pads.end())));
  const int to = e.between("padded", s);
  const int from = e.in(input);
  if (fill == 0)
    e.op<schema::PadOptions>(Code::PAD, {from, sizes}, {to}, [](auto& b) { return schema::CreatePadOptions(b); });
  else
    e.op(Code::PADV2, {from, sizes, e.held("fill", Tensor::scalar(fill))}, {to});
  return {to, schema::Padding::VALID};
}

int bias_tensor(LiteEmit& e, Value& end, int64_t channels) {
  std::optional<Tensor> bias = e.bias_behind(end);
  return e.held("bias", bias ? *bias : Tensor(DType::f32, {channels}));
}

void emit_conv(LiteEmit& e) {
  require_last(e);
  const Filter f = filter_of(e);
  const auto stride = plane_of(e, "strides"), dilation = plane_of(e, "dilations");
  const Padded x = padded(e, 0);
  Value end{e.id, 0};
  const int w = filter_tensor(e, f, permuted(f.numbers, {3, 0, 1, 2}), 0), b = bias_tensor(e, end, f.numbers.dim(3));
  const auto activation = e.activation_behind(end);
  e.op<schema::Conv2DOptions>(Code::CONV_2D, {x.tensor, w, b}, {e.result(end)}, [=](auto& fbb) {
    return schema::CreateConv2DOptions(fbb, x.padding, static_cast<int>(stride[1]), static_cast<int>(stride[0]), activation,
                                       static_cast<int>(dilation[1]), static_cast<int>(dilation[0]));
  });
}

void emit_depthwise(LiteEmit& e) {
  require_last(e);
  const Filter f = filter_of(e);
  const auto stride = plane_of(e, "strides"), dilation = plane_of(e, "dilations");
  const Shape s = f.numbers.shape();
  if (s.size() != 4) throw Error("", "has a filter of " + to_string(s));
  const int64_t channels = s[2] * s[3];
  const Padded x = padded(e, 0);
  Value end{e.id, 0};
  const int w = filter_tensor(e, f, f.numbers.reshaped({1, s[0], s[1], channels}), 3), b = bias_tensor(e, end, channels);
  const auto activation = e.activation_behind(end);
  e.op<schema::DepthwiseConv2DOptions>(Code::DEPTHWISE_CONV_2D, {x.tensor, w, b}, {e.result(end)}, [=](auto& fbb) {
    return schema::CreateDepthwiseConv2DOptions(fbb, x.padding, static_cast<int>(stride[1]), static_cast<int>(stride[0]),
                                                static_cast<int>(s[3]), activation, static_cast<int>(dilation[1]),
                                                static_cast<int>(dilation[0]));
  });
}

void emit_deconv(LiteEmit& e) {
  require_last(e);
  const Filter f = filter_of(e);
  const auto stride = plane_of(e, "strides");
  if (plane_of(e, "dilations") != std::vector<int64_t>{1, 1}) throw Error("", "is dilated", "such nodes are not written");
  const std::string padding = e.n.attr<std::string>("padding");
  if (padding == "EXPLICIT") throw Error("", "has explicit padding", "such nodes are not written");
  const auto pad = padding == "SAME" ? schema::Padding::SAME : schema::Padding::VALID;
  Value end{e.id, 0};
  const Shape y = e.shape_of(end);
  const int sizes = e.ints("sizes", {y.begin(), y.end()});
  const int w = filter_tensor(e, f, permuted(f.numbers, {2, 0, 1, 3}), 0), b = bias_tensor(e, end, y.back());
  const auto activation = e.activation_behind(end);
  e.op<schema::TransposeConvOptions>(Code::TRANSPOSE_CONV, {sizes, w, e.in(2), b}, {e.result(end)}, [=](auto& fbb) {
    return schema::CreateTransposeConvOptions(fbb, pad, static_cast<int>(stride[1]), static_cast<int>(stride[0]), activation);
  });
}

void emit_matmul_of_two(LiteEmit& e, bool turn_x, bool turn_y) {
  e.op<schema::BatchMatMulOptions>(Code::BATCH_MATMUL, {e.in(0), e.in(1)}, {e.out()},
                                   [=](auto& b) { return schema::CreateBatchMatMulOptions(b, turn_x, turn_y); });
}

void emit_matmul(LiteEmit& e) {
  const bool turn_x = e.n.attr_or("transpose_a", false), turn_w = e.n.attr_or("transpose_b", false);
  if (turn_x || !e.constant(1)) return emit_matmul_of_two(e, turn_x, turn_w);
  const Filter f = filter_of(e);
  Value end{e.id, 0};
  const Tensor numbers = turn_w ? f.numbers : permuted(f.numbers, {1, 0});
  const int w = filter_tensor(e, f, numbers, 0), b = bias_tensor(e, end, numbers.dim(0));
  const auto activation = e.activation_behind(end);
  e.op<schema::FullyConnectedOptions>(Code::FULLY_CONNECTED, {e.in(0), w, b}, {e.result(end)},
                                      [=](auto& fbb) { return schema::CreateFullyConnectedOptions(fbb, activation); });
}
void emit_lite_batch_matmul(LiteEmit& e) { emit_matmul_of_two(e, e.n.attr_or("adj_x", false), e.n.attr_or("adj_y", false)); }

void emit_pool(LiteEmit& e, Code code) {
  require_last(e);
  const auto size = plane_of(e, "ksize"), stride = plane_of(e, "strides");
  if (e.n.attr<std::string>("padding") == "EXPLICIT" && code != Code::MAX_POOL_2D)
    throw Error("", "has explicit padding", "such nodes are not written");
  const Padded x = padded(e, 0, std::numeric_limits<float>::lowest());
  const auto padding = x.padding;
  e.op<schema::Pool2DOptions>(code, {x.tensor}, {e.out()}, [=](auto& b) {
    return schema::CreatePool2DOptions(b, padding, static_cast<int>(stride[1]), static_cast<int>(stride[0]),
                                       static_cast<int>(size[1]), static_cast<int>(size[0]));
  });
}
void emit_average_pool(LiteEmit& e) { emit_pool(e, Code::AVERAGE_POOL_2D); }
void emit_max_pool(LiteEmit& e) { emit_pool(e, Code::MAX_POOL_2D); }

void emit_bilinear(LiteEmit& e) {
  const bool corners = e.n.attr_or("align_corners", false), half = e.n.attr_or("half_pixel_centers", false);
  e.op<schema::ResizeBilinearOptions>(Code::RESIZE_BILINEAR, {e.in(0), e.in_int32(1)}, {e.out()},
                                      [=](auto& b) { return schema::CreateResizeBilinearOptions(b, corners, half); });
}
void emit_nearest(LiteEmit& e) {
  const bool corners = e.n.attr_or("align_corners", false), half = e.n.attr_or("half_pixel_centers", false);
  e.op<schema::ResizeNearestNeighborOptions>(Code::RESIZE_NEAREST_NEIGHBOR, {e.in(0), e.in_int32(1)}, {e.out()}, [=](auto& b) {
    return schema::CreateResizeNearestNeighborOptions(b, corners, half);
  });
}

}  // namespace

const std::vector<LiteEmitEntry>& lite_emit_layer_entries() {
  static const std::vector<LiteEmitEntry> entries = {
      {"AvgPool", emit_average_pool},
      {"BatchMatMul", emit_lite_batch_matmul},
      {"BatchMatMulV2", emit_lite_batch_matmul},
      {"BatchMatMulV3", emit_lite_batch_matmul},
      {"Conv2D", emit_conv},
      {"Conv2DBackpropInput", emit_deconv},
      {"DepthwiseConv2dNative", emit_depthwise},
      {"MatMul", emit_matmul},
      {"MaxPool", emit_max_pool},
      {"ResizeBilinear", emit_bilinear},
      {"ResizeNearestNeighbor", emit_nearest},
  };
  return entries;
}

}  // namespace cytodet::graph::lite
