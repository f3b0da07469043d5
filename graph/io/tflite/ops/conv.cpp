// Convolutions, their transposes and matrix products. Maps are [n, h, w, c] as in TensorFlow; filters are permuted.
#include <algorithm>

#include "graph/io/tflite/op_table.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

AttrList list4(int64_t h, int64_t w) {
  if (h < 1 || w < 1) refuse("has a stride or dilation of " + std::to_string(std::min(h, w)), "the file is damaged");
  AttrList list;
  list.ints = {1, h, w, 1};
  return list;
}

AttrMap window_attrs(schema::Padding padding, int64_t stride_h, int64_t stride_w, int64_t dilation_h, int64_t dilation_w) {
  return {{"strides", list4(stride_h, stride_w)},
          {"dilations", list4(dilation_h, dilation_w)},
          {"padding", padding == schema::Padding::SAME ? "SAME" : "VALID"},
          {"data_format", "NHWC"}};
}

Shape filter_shape(const Call& c, size_t input, size_t rank) {
  const Shape s = c.b.static_dims(c.in(input));
  if (s.size() != rank) refuse("has a filter of " + to_string(s), "the file is damaged");
  return s;
}
Shape shape_of_weights(const Call& c, size_t input, size_t rank) {
  const LiteTensor& t = c.tensor(input);
  if (t.data.empty()) return filter_shape(c, input, rank);
  if (t.shape.size() != rank) refuse("has a filter of " + to_string(t.shape), "the file is damaged");
  return t.shape;
}

// y + bias. A bias of 32 or 64 bits counts in the product of the steps of input and filter.
Value with_bias(const Call& c, Value y, size_t bias, size_t input, size_t filter) {
  if (!c.has(bias)) return y;
  const LiteTensor& t = c.tensor(bias);
  Value v;
  if (t.dtype != DType::i32 && t.dtype != DType::i64) {
    v = c.in(bias);
  } else {
    const LiteTensor &x = c.tensor(input), &w = c.tensor(filter);
    if (t.data.empty() || x.quant.scale.size() != 1 || w.quant.scale.empty())
      refuse("has a bias of whole numbers, but no scales for it", "the file is damaged");
    const Tensor stored = t.stored();
    Tensor numbers(DType::f32, stored.shape());
    const size_t scales = w.quant.scale.size();
    if (scales != 1 && static_cast<int64_t>(scales) != stored.size())
      refuse("has a bias of another length than its filter", "the file is damaged");
    for (int64_t i = 0; i < stored.size(); ++i)
      numbers.data<float>()[i] = static_cast<float>(static_cast<double>(stored.as_int(i)) * double{x.quant.scale[0]} *
                                                    double{w.quant.scale[static_cast<size_t>(i) % scales]});
    v = c.b.constant(numbers);
  }
  return c.b.add("BiasAdd", {y, c.b.reshape(v, {elements(c.b.static_dims(v))})});
}

void conv_2d(Call& c) {
  const auto& o = c.options<schema::Conv2DOptions>();
  shape_of_weights(c, 1, 4);
  const Value filter = weights_of(c, 1, {1, 2, 3, 0});
  const AttrMap attrs = window_attrs(o.padding(), o.stride_h(), o.stride_w(), o.dilation_h_factor(), o.dilation_w_factor());
  const Value y = with_bias(c, c.b.add("Conv2D", {c.layer_in(0), filter}, attrs), 2, 0, 1);
  c.give(y, o.fused_activation_function());
}

// The filter [1, h, w, channels * multiplier] as [h, w, channels, multiplier].
void depthwise_conv_2d(Call& c) {
  Builder& b = c.b;
  const auto& o = c.options<schema::DepthwiseConv2DOptions>();
  const Shape f = shape_of_weights(c, 1, 4), x = b.dims(c.in(0));
  if (x.size() != 4 || x[3] < 1 || f[0] != 1 || f[3] % x[3])
    refuse("has a filter of " + to_string(f) + " for " + to_string(x), "the file is damaged");
  const AttrMap attrs = window_attrs(o.padding(), o.stride_h(), o.stride_w(), o.dilation_h_factor(), o.dilation_w_factor());
  const Value flat = weights_of(c, 1, {1, 2, 0, 3});
  Value y;
  if (o.stride_h() != o.stride_w())  // TensorFlow's depthwise op has one stride; a convolution of as many groups does the same
    y = b.add("Conv2D", {c.layer_in(0), flat}, attrs);
  else
    y = b.add("DepthwiseConv2dNative", {c.layer_in(0), b.reshape(flat, {f[1], f[2], x[3], f[3] / x[3]})}, attrs);
  c.give(with_bias(c, y, 2, 0, 1), o.fused_activation_function());
}

void transpose_conv(Call& c) {
  Builder& b = c.b;
  const auto& o = c.options<schema::TransposeConvOptions>();
  shape_of_weights(c, 1, 4);
  const Value filter = weights_of(c, 1, {1, 2, 0, 3});
  const AttrMap attrs = window_attrs(o.padding(), o.stride_h(), o.stride_w(), 1, 1);
  const Value y = b.add("Conv2DBackpropInput", {c.in(0), filter, c.layer_in(2)}, attrs);
  c.give(with_bias(c, y, 3, 2, 1), o.fused_activation_function());
}

void fully_connected(Call& c) {
  Builder& b = c.b;
  const auto& o = c.options<schema::FullyConnectedOptions>();
  if (o.weights_format() != schema::FullyConnectedOptionsWeightsFormat::DEFAULT) refuse("has shuffled weights");
  const Shape f = shape_of_weights(c, 1, 2), s = b.dims(c.in(0));
  Value x = c.layer_in(0);
  if (s.size() != 2 || s[1] != f[1]) {
    x = b.reshape(x, {-1, f[1]});
    if (const auto grid = fake_quant_value(b.graph, c.in(0))) x = b.adopt(new_fake_quant(b.graph, x, grid->quant));
  }
  const bool constant = !c.tensor(1).data.empty();
  const Value w = constant ? weights_of(c, 1, {1, 0}) : c.in(1);
  Value y = b.add("MatMul", {x, w}, {{"transpose_a", false}, {"transpose_b", !constant}});
  y = activated(b, with_bias(c, y, 2, 0, 1), o.fused_activation_function());
  if (o.keep_num_dims() && s.size() != 2) {
    Shape wide = s;
    if (wide.empty()) refuse("multiplies a number", "the file is damaged");
    wide.back() = f[0];
    if (std::count(wide.begin(), wide.end(), -1) > 1)
      refuse("keeps dimensions that are not known", "state them: --input NAME=1,224,224,3");
    y = b.reshape(y, wide);
  }
  c.set(0, y);
}

void lite_batch_matmul(Call& c) {
  const auto& o = c.options<schema::BatchMatMulOptions>();
  c.set(0, c.b.add("BatchMatMulV2", {c.in(0), c.in(1)}, {{"adj_x", o.adj_x()}, {"adj_y", o.adj_y()}}));
}

}  // namespace

const std::vector<LiteEntry>& lite_conv_entries() {
  static const std::vector<LiteEntry> entries = {
      {Code::BATCH_MATMUL, lite_batch_matmul},      {Code::CONV_2D, conv_2d},
      {Code::DEPTHWISE_CONV_2D, depthwise_conv_2d}, {Code::FULLY_CONNECTED, fully_connected},
      {Code::TRANSPOSE_CONV, transpose_conv},
  };
  return entries;
}

}  // namespace cytodet::graph::lite
