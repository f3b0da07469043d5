#include "graph/io/tflite/call.h"

#include <algorithm>
#include <array>

#include "core/dispatch.h"
#include "core/error.h"

namespace cytodet::graph::lite {

void refuse(const std::string& what, const std::string& fix) { throw Error("", what, fix); }

Value Call::in(size_t i) const {
  if (!has(i)) refuse("has no input " + std::to_string(i), "the file is damaged");
  return number_(op_.inputs[i], false);
}
Value Call::layer_in(size_t i) const { return has(i) ? number_(op_.inputs[i], true) : in(i); }
std::vector<Value> Call::all() const {
  std::vector<Value> values;
  for (size_t i = 0; i < inputs(); ++i) values.push_back(in(i));
  return values;
}
const LiteTensor& Call::tensor(size_t i) const {
  if (i >= op_.inputs.size() || op_.inputs[i] < 0) refuse("has no input " + std::to_string(i), "the file is damaged");
  return graph_.tensors[static_cast<size_t>(op_.inputs[i])];
}
const LiteTensor& Call::result(size_t i) const {
  if (i >= op_.outputs.size()) refuse("has no output " + std::to_string(i), "the file is damaged");
  return graph_.tensors[static_cast<size_t>(op_.outputs[i])];
}
const Tensor& Call::need_constant(size_t i, const char* what) const {
  const Tensor* t = constant(i);
  if (!t) refuse(std::string("computes ") + what + " while it runs", "convert the model with fixed sizes");
  return *t;
}

// A table without fields: its own size and that of its description, 4 bytes each, which lies before it.
const void* Call::no_options() {
  alignas(8) static const std::array<uint16_t, 4> bytes = {4, 4, 4, 0};
  return &bytes[2];
}

int64_t Call::axis_in(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    refuse("axis " + std::to_string(axis) + " is out of range for " + std::to_string(rank) + " dimensions",
           "the file is damaged");
  return axis < 0 ? axis + rank : axis;
}

Value activated(Builder& b, Value x, schema::ActivationFunctionType activation) {
  switch (activation) {
    case schema::ActivationFunctionType::NONE:
      return x;
    case schema::ActivationFunctionType::RELU:
      return b.add("Relu", {x});
    case schema::ActivationFunctionType::RELU6:
      return b.add("Relu6", {x});
    case schema::ActivationFunctionType::RELU_N1_TO_1:
      return b.add("Minimum", {b.add("Maximum", {x, b.number(-1, x)}), b.number(1, x)});
    case schema::ActivationFunctionType::TANH:
      return b.add("Tanh", {x});
    default:
      refuse("has activation " + std::to_string(static_cast<int>(activation)));
  }
}

void Call::give(Value y, schema::ActivationFunctionType activation) {
  keeps_grid = activation == schema::ActivationFunctionType::NONE || activation == schema::ActivationFunctionType::RELU;
  set(0, activated(b, y, activation));
}

Tensor numbers_of(const LiteTensor& tensor) {
  const Tensor stored = tensor.stored();
  Tensor numbers(DType::f32, stored.shape());
  if (stored.size() == 0) return numbers;
  const LiteQuant& q = tensor.quant;
  int64_t inner = 1;
  for (size_t d = static_cast<size_t>(q.axis) + 1; q.scale.size() > 1 && d < stored.shape().size(); ++d)
    inner *= stored.shape()[d];
  float* to = numbers.data<float>();
  on_numeric(stored.dtype(), [&]<class T>() {
    if constexpr (std::is_integral_v<T>)
      for (int64_t i = 0; i < stored.size(); ++i) {
        const size_t k = static_cast<size_t>(i / inner) % q.scale.size();
        to[i] = static_cast<float>(static_cast<int64_t>(stored.data<T>()[i]) - q.zero_point[k]) * q.scale[k];
      }
  });
  return numbers;
}

namespace {

// Stored values less their zero point, in -127..127; empty: they do not fit.
std::optional<Tensor> signed_values(const LiteTensor& tensor) {
  if ((tensor.dtype != DType::i8 && tensor.dtype != DType::u8) || tensor.shape.size() < 2) return {};
  const LiteQuant& q = tensor.quant;
  const int64_t zero = q.zero_point[0];
  if (std::any_of(q.zero_point.begin(), q.zero_point.end(), [&](int64_t z) { return z != zero; })) return {};
  const Tensor stored = tensor.stored();
  Tensor values(DType::qint8, stored.shape());
  int8_t* to = static_cast<int8_t*>(values.raw());
  for (int64_t i = 0; i < stored.size(); ++i) {
    const int64_t v =
        (stored.dtype() == DType::i8 ? int64_t{stored.data<int8_t>()[i]} : int64_t{stored.data<uint8_t>()[i]}) - zero;
    if (v < -127 || v > 127) return {};
    to[i] = static_cast<int8_t>(v);
  }
  return values;
}

// In the order of the file.
Value constant_weights(const Call& c, size_t input) {
  const LiteTensor& t = c.tensor(input);
  if (!t.is_quantized()) return c.in(input);
  const std::optional<Tensor> values = signed_values(t);
  if (!values) return c.in(input);
  std::vector<float> low, high;
  for (float s : t.quant.scale) {
    low.push_back(-127 * s);
    high.push_back(127 * s);
  }
  const bool per_axis = low.size() > 1;
  const Shape ranges = per_axis ? Shape{static_cast<int64_t>(low.size())} : Shape{};
  Builder& b = c.b;
  const Value stored = b.constant(*values), lo = b.constant(Tensor::from<float>(ranges, low)),
              hi = b.constant(Tensor::from<float>(ranges, high));
  return b.add("Dequantize", {stored, lo, hi}, {{"mode", "SCALED"}, {"axis", per_axis ? int64_t{t.quant.axis} : int64_t{-1}}});
}

}  // namespace

Value weights_of(Call& c, size_t input, const std::vector<int64_t>& perm) {
  const LiteTensor& t = c.tensor(input);
  if (t.data.empty()) return c.b.transpose(c.in(input), perm);
  const auto [it, is_new] = c.permuted_weights.try_emplace({&t, perm});
  if (is_new) it->second = c.b.transpose(constant_weights(c, input), perm);
  return it->second;
}

}  // namespace cytodet::graph::lite
