// Numbers and their quantized values. Quantized values that are made and read with one constant scale become QuantizeV2 ->
// Dequantize, and quantized values of weights Dequantize of a constant, which is the form that runs in 8 bits
// (graph/quantized/quant_nodes.h); the rest is computed.
#include <cmath>
#include <numeric>

#include "graph/io/onnx/op_table.h"
#include "graph/io/onnx/ops/conv.h"
#include "graph/io/onnx/ops/product.h"
#include "graph/io/onnx/tensor_proto.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::graph::onnx {
namespace {

struct QuantizedLimits {
  double low, high;
};
QuantizedLimits range_of(DType t) {
  switch (t) {
    case DType::u8:
      return {0, 255};
    case DType::i8:
      return {-128, 127};
    case DType::u16:
      return {0, 65535};
    case DType::i16:
      return {-32768, 32767};
    default:
      refuse("makes quantized values of type " + name_of(t), "known are int8, uint8, int16 and uint16");
  }
}

// Scale or zero point as the tensor's shape needs it: a number, a list along an axis, or blocks along it.
Value fitted(Builder& b, Value v, Value x, int64_t axis, int64_t block) {
  if (b.is_static(v) && elements(b.dims(v)) == 1) return b.reshape(v, {});
  const int64_t rank = b.rank(x);
  axis = Call::axis_in(axis, rank);
  if (block > 0) {
    const int64_t n = b.static_dims(x)[static_cast<size_t>(axis)];
    std::vector<int32_t> of;
    for (int64_t i = 0; i < n; ++i) of.push_back(static_cast<int32_t>(i / block));
    return b.add("GatherV2", {v, b.constant(Tensor::from<int32_t>({n}, of)), b.int32(axis)});
  }
  if (b.rank(v) != 1) return v;
  Shape wide(static_cast<size_t>(rank), 1);
  wide[static_cast<size_t>(axis)] = b.dims(v)[0];
  return b.reshape(v, wide);
}

struct Scaling {
  Value scale;
  std::optional<Value> zero;
  int64_t axis = 1, block = 0;
};

std::optional<QuantParams> one_grid(const Builder& b, const Scaling& s, DType type) {
  const Tensor *scale = b.constant(s.scale), *zero = s.zero ? b.constant(*s.zero) : nullptr;
  if (!scale || scale->size() != 1 || scale->dtype() != DType::f32 || (s.zero && (!zero || zero->size() != 1))) return {};
  if (type != DType::u8 && type != DType::i8) return {};
  const float step = scale->data<float>()[0];
  if (!(step > 0) || !std::isfinite(step)) return {};
  const int64_t q = zero ? zero->as_int() : 0;
  return QuantParams{step, static_cast<int>(q + (type == DType::i8 ? 128 : 0)), false};
}

Value quantized(Builder& b, Value x, const Scaling& s, DType type) {
  const QuantizedLimits range = range_of(type);
  const DType work = b.type(x) == DType::f64 ? DType::f64 : DType::f32;
  const Value scaled = b.add("RealDiv", {b.cast(x, work), b.cast(fitted(b, s.scale, x, s.axis, s.block), work)});
  Value q = b.add("Round", {scaled});
  if (s.zero) q = b.add("AddV2", {q, b.cast(fitted(b, *s.zero, x, s.axis, s.block), work)});
  q = b.add("Maximum", {b.add("Minimum", {q, b.number(range.high, work)}), b.number(range.low, work)});
  const Value y = b.cast(q, type);
  if (const auto grid = one_grid(b, s, type); grid && work == DType::f32 && b.type(x) == DType::f32)
    b.made_of.insert_or_assign(y, Builder::QuantizedFrom{x, grid->scale, grid->zero_point});
  return y;
}

// Quantized values less their zero points, one or one for each entry of the axis: signed values about 0. Nothing where one is no
// int8: uint8 weights about 128 are.
std::optional<Tensor> about_zero(const Tensor& t, const Tensor* zero, int64_t axis) {
  Tensor out(DType::i8, t.shape());
  const int64_t entries = zero ? zero->size() : 1;
  const int64_t inner = entries > 1 ? elements(Shape(t.shape().begin() + axis + 1, t.shape().end())) : 1;
  for (int64_t i = 0; i < t.size(); ++i) {
    const int64_t v = t.as_int(i) - (zero ? zero->as_int(entries > 1 ? i / inner % entries : 0) : 0);
    if (v < -128 || v > 127) return {};
    out.data<int8_t>()[i] = static_cast<int8_t>(v);
  }
  return out;
}

// Quantized values of weights: signed, about 0, with one range or one for each entry of an axis.
std::optional<Value> weights_of(Builder& b, Value quantized, const Scaling& s) {
  const Tensor *t = b.constant(quantized), *scale = b.constant(s.scale), *zero = s.zero ? b.constant(*s.zero) : nullptr;
  if (!t || (t->dtype() != DType::i8 && t->dtype() != DType::u8) || t->rank() < 2 || s.block || !scale ||
      scale->dtype() != DType::f32 || (s.zero && !zero))
    return {};
  const int64_t axis = scale->size() == 1 ? -1 : Call::axis_in(s.axis, t->rank());
  if (axis >= 0 && scale->size() != t->dim(static_cast<int>(axis))) return {};
  if (zero && zero->size() != 1 && zero->size() != scale->size()) return {};
  const std::optional<Tensor> centred = about_zero(*t, zero, axis);
  if (!centred) return {};
  std::vector<float> low, high;
  for (float v : scale->span<float>()) {
    if (!(v > 0) || !std::isfinite(v)) return {};
    low.push_back(-127 * v);
    high.push_back(127 * v);
  }
  const Shape ranges = axis < 0 ? Shape{} : Shape{scale->size()};
  const Value c = b.constant(centred->bitcast(DType::qint8)), lo = b.constant(Tensor::from<float>(ranges, low)),
              hi = b.constant(Tensor::from<float>(ranges, high));
  return b.add("Dequantize", {c, lo, hi}, {{"mode", "SCALED"}, {"axis", axis}});
}

Value dequantized(Builder& b, Value quantized, const Scaling& s) {
  if (const auto it = b.made_of.find(quantized); it != b.made_of.end()) {
    const auto grid = one_grid(b, s, b.type(quantized));
    if (grid && grid->scale == it->second.scale && grid->zero_point == it->second.zero_point)
      return b.adopt(add_fake_quant(b.graph, it->second.number, *grid));
  }
  if (const auto weights = weights_of(b, quantized, s)) return *weights;
  const DType type = b.type(s.scale), work = type == DType::f64 ? DType::f64 : DType::f32;
  Value x = b.cast(quantized, work);
  if (s.zero) x = b.add("Sub", {x, b.cast(fitted(b, *s.zero, quantized, s.axis, s.block), work)});
  return b.cast(b.add("Mul", {x, b.cast(fitted(b, s.scale, quantized, s.axis, s.block), work)}), type);
}

Scaling scaling_at(const Call& c, size_t first, int64_t axis) {
  return {c.in(first), c.has(first + 1) ? std::optional(c.in(first + 1)) : std::nullopt, axis, 0};
}

void quantize_linear(Call& c) {
  Scaling s = scaling_at(c, 1, c.integer("axis", 1));
  s.block = c.integer("block_size", 0);
  DType type = s.zero ? c.b.type(*s.zero) : DType::u8;
  if (const int64_t stated = c.integer("output_dtype", 0); stated && !s.zero) type = dtype_of_onnx(static_cast<int>(stated));
  c.set(0, quantized(c.b, c.in(0), s, type));
}

void dequantize_linear(Call& c) {
  Scaling s = scaling_at(c, 1, c.integer("axis", 1));
  s.block = c.integer("block_size", 0);
  c.set(0, dequantized(c.b, c.in(0), s));
}

// The range of all numbers, with 0, on 256 quantized values.
void dynamic_quantize_linear(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0), zero = b.number(0, DType::f32);
  std::vector<int64_t> axes(static_cast<size_t>(b.rank(x)));
  std::iota(axes.begin(), axes.end(), 0);
  const auto end = [&](const char* op) { return b.add(op, {x, b.int32s(axes)}, {{"keep_dims", false}}); };
  const Value high = b.add("Maximum", {end("Max"), zero}), low = b.add("Minimum", {end("Min"), zero});
  const Value scale = b.add("RealDiv", {b.add("Sub", {high, low}), b.number(255, DType::f32)});
  const Value start = b.add("Neg", {b.add("DivNoNan", {low, scale})});
  const Value q = b.add("Minimum", {b.add("Maximum", {b.add("Round", {start}), zero}), b.number(255, DType::f32)});
  const Value place = b.cast(q, DType::u8);
  c.set(0, quantized(b, x, {scale, place, 1, 0}, DType::u8));
  c.set(1, scale);
  c.set(2, place);
}

// The result's quantized values from a number that was computed.
void give_quantized(Call& c, Value y, const Scaling& s) {
  c.set(0, quantized(c.b, y, s, s.zero ? c.b.type(*s.zero) : DType::u8));
}

void qlinear_conv(Call& c) {
  Builder& b = c.b;
  const Value x = dequantized(b, c.in(0), scaling_at(c, 1, 1)), w = dequantized(b, c.in(3), scaling_at(c, 4, 0));
  std::optional<Value> bias;
  if (c.has(8)) {
    const Value step = b.add("Mul", {b.reshape(c.in(1), {}), c.in(4)});
    bias = b.add("Mul", {b.cast(c.in(8), DType::f32), step});
  }
  give_quantized(c, conv_of(c, x, w, bias), scaling_at(c, 6, 1));
}

void qlinear_matmul(Call& c) {
  Builder& b = c.b;
  // In float32, whatever the scales are. One for each row of the first, for each column of the second.
  const auto numbers = [&](size_t i, int64_t axis) {
    Scaling s = scaling_at(c, i + 1, axis);
    s.scale = b.cast(s.scale, DType::f32);
    return dequantized(b, c.in(i), s);
  };
  const Value x = numbers(0, -2), w = numbers(3, -1);
  give_quantized(c, product_of(b, x, w), scaling_at(c, 6, -2));
}

Value less_zero(const Call& c, size_t i, size_t zero, int64_t axis, DType work) {
  Builder& b = c.b;
  const Value x = b.cast(c.in(i), work);
  if (!c.has(zero)) return x;
  return b.add("Sub", {x, b.cast(fitted(b, c.in(zero), c.in(i), axis, 0), work)});
}

// Sums of products of quantized values are exact in float32 up to 2^24; longer sums are made of int32.
DType exact_type(int64_t products) { return products > 0 && products * 255 * 255 < (int64_t{1} << 24) ? DType::f32 : DType::i32; }

void conv_integer(Call& c) {
  const Shape f = c.b.static_dims(c.in(1));
  const DType work = exact_type(f[0] ? elements(f) / f[0] : 0);
  c.set(0, c.b.cast(conv_of(c, less_zero(c, 0, 2, 1, work), less_zero(c, 1, 3, 0, work), {}), DType::i32));
}

void matmul_integer(Call& c) {
  const Shape s = c.b.dims(c.in(0));
  const DType work = exact_type(s.empty() ? 0 : s.back());
  c.set(0, c.b.cast(product_of(c.b, less_zero(c, 0, 2, -2, work), less_zero(c, 1, 3, -1, work)), DType::i32));
}

// ONNX Runtime's own: quantized values in, quantized values out.
template <const char* (*op)()>
void qlinear_binary(Call& c) {
  Builder& b = c.b;
  const Value x = dequantized(b, c.in(0), scaling_at(c, 1, 1)), y = dequantized(b, c.in(3), scaling_at(c, 4, 1));
  give_quantized(c, b.add(op(), {x, y}), scaling_at(c, 6, 1));
}
const char* qadd_op() { return "AddV2"; }
const char* qmul_op() { return "Mul"; }

void qlinear_sigmoid(Call& c) {
  give_quantized(c, c.b.add("Sigmoid", {dequantized(c.b, c.in(0), scaling_at(c, 1, 1))}), scaling_at(c, 3, 1));
}
void qlinear_leaky_relu(Call& c) {
  const Value x = dequantized(c.b, c.in(0), scaling_at(c, 1, 1));
  give_quantized(c, c.b.add("LeakyRelu", {x}, {{"alpha", c.real("alpha", 0.01f)}}), scaling_at(c, 3, 1));
}
void qlinear_global_average(Call& c) {
  if (c.flag("channels_last", false)) refuse("has its channels last");
  const Value x = dequantized(c.b, c.in(0), scaling_at(c, 1, 1));
  std::vector<int64_t> axes(static_cast<size_t>(std::max<int64_t>(0, c.b.rank(x) - 2)));
  std::iota(axes.begin(), axes.end(), 2);
  give_quantized(c, c.b.add("Mean", {x, c.b.int32s(axes)}, {{"keep_dims", true}}), scaling_at(c, 3, 1));
}
// alpha * A' B' + alpha * scale of A * scale of B * C, which holds sums of products; numbers where the result has no scale.
void qgemm(Call& c) {
  Builder& b = c.b;
  const float alpha = c.real("alpha", 1);
  const bool across = c.flag("transB", false);
  Value x = dequantized(b, c.in(0), scaling_at(c, 1, 1)), w = dequantized(b, c.in(3), scaling_at(c, 4, across ? 0 : 1));
  if (across) w = b.transpose(w, {1, 0});
  Value y = b.add("MatMul", {x, w}, {{"transpose_a", c.flag("transA", false)}, {"transpose_b", false}});
  if (alpha != 1) y = b.add("Mul", {y, b.number(alpha, y)});
  if (c.has(6)) {
    Value step = b.add("Mul", {b.reshape(c.in(1), {}), c.in(4)});
    if (alpha != 1) step = b.add("Mul", {step, b.number(alpha, step)});
    y = b.add_bias(y, b.add("Mul", {b.cast(c.in(6), DType::f32), step}));
  }
  if (!c.has(7)) return c.set(0, y);
  give_quantized(c, y, scaling_at(c, 7, 1));
}

// What ONNX's operator of this name does to the numbers.
template <const char* (*op)()>
void qlinear_of_numbers(Call& c) {
  if (c.flag("channels_last", false)) refuse("has its channels last");
  const Value x = dequantized(c.b, c.in(0), scaling_at(c, 1, 1));
  Call numbers = c.on({x}, c.integer("opset", c.opset));
  const OnnxOp* meant = find_onnx_op(op(), numbers.opset);
  if (!meant) refuse("is meant as of operator set " + std::to_string(numbers.opset), "the model is damaged");
  meant->translate(numbers);
  give_quantized(c, numbers.out.at(0).value(), scaling_at(c, 3, 1));
}
const char* average_pool_op() { return "AveragePool"; }
const char* softmax_op() { return "Softmax"; }

void qlinear_concat(Call& c) {
  Builder& b = c.b;
  std::vector<Value> parts;
  for (size_t i = 2; i + 2 < c.inputs(); i += 3) parts.push_back(dequantized(b, c.in(i), scaling_at(c, i + 1, 1)));
  if (parts.empty()) refuse("joins nothing", "the model is damaged");
  parts.push_back(b.int32(Call::axis_in(c.integer("axis", 1), b.rank(parts[0]))));
  give_quantized(c, parts.size() == 2 ? parts[0] : b.add("ConcatV2", parts), scaling_at(c, 0, 1));
}

}  // namespace

const std::vector<OnnxOp>& quantize_entries() {
  static const std::vector<OnnxOp> entries = {
      {"ConvInteger", 10, conv_integer},
      {"DequantizeLinear", 10, dequantize_linear},
      {"DynamicQuantizeLinear", 11, dynamic_quantize_linear},
      {"MatMulInteger", 10, matmul_integer},
      {"QLinearConv", 10, qlinear_conv},
      {"QLinearMatMul", 10, qlinear_matmul},
      {"QuantizeLinear", 10, quantize_linear},
      {"com.microsoft.DequantizeLinear", 1, dequantize_linear},
      {"com.microsoft.QGemm", 1, qgemm},
      {"com.microsoft.QLinearAdd", 1, qlinear_binary<qadd_op>},
      {"com.microsoft.QLinearAveragePool", 1, qlinear_of_numbers<average_pool_op>},
      {"com.microsoft.QLinearConcat", 1, qlinear_concat},
      {"com.microsoft.QLinearGlobalAveragePool", 1, qlinear_global_average},
      {"com.microsoft.QLinearLeakyRelu", 1, qlinear_leaky_relu},
      {"com.microsoft.QLinearMul", 1, qlinear_binary<qmul_op>},
      {"com.microsoft.QLinearSigmoid", 1, qlinear_sigmoid},
      {"com.microsoft.QLinearSoftmax", 1, qlinear_of_numbers<softmax_op>},
      {"com.microsoft.QuantizeLinear", 1, quantize_linear},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
