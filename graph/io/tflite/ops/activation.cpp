// Activations and normalizations. One that TensorFlow has no op for is composed of several, in a form that the compiler finds.
#include <algorithm>
#include <cmath>

#include "graph/io/tflite/op_table.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

Value lite_times(Call& c, Value x, double k) { return c.b.add("Mul", {x, c.b.number(k, x)}); }
Value lite_plus(Call& c, Value x, double k) { return c.b.add("AddV2", {x, c.b.number(k, x)}); }

template <schema::ActivationFunctionType kind>
void lite_activation(Call& c) {
  c.set(0, activated(c.b, c.in(0), kind));
}

void relu_0_to_1(Call& c) {
  const Value x = c.in(0);
  c.set(0, c.b.add("Minimum", {c.b.add("Maximum", {x, c.b.number(0, x)}), c.b.number(1, x)}));
}

void lite_softmax(Call& c) {
  const double beta = double{c.options<schema::SoftmaxOptions>().beta()};
  c.set(0, c.b.add("Softmax", {beta == 1 ? c.in(0) : lite_times(c, c.in(0), beta)}));
}

void lite_leaky_relu(Call& c) {
  c.set(0, c.b.add("LeakyRelu", {c.in(0)}, {{"alpha", c.options<schema::LeakyReluOptions>().alpha()}}));
}

// x above 0; below, slope * x with a slope per channel, or more.
void lite_prelu(Call& c) {
  const Value x = c.in(0), slope = c.in(1);
  if (const Tensor* t = c.b.constant(slope); t && t->dtype() == DType::f32 && t->size() > 0) {
    const auto s = t->span<float>();
    if (std::all_of(s.begin(), s.end(), [&](float v) { return v == s[0]; }))
      return c.set(0, c.b.add("LeakyRelu", {x}, {{"alpha", s[0]}}));
  }
  const Value zero = c.b.number(0, x);
  c.set(0, c.b.add("AddV2", {c.b.add("Relu", {x}), c.b.add("Mul", {slope, c.b.add("Minimum", {x, zero})})}));
}

void lite_hard_swish(Call& c) {
  const Value x = c.in(0);
  c.set(0, c.b.add("Mul", {x, lite_times(c, c.b.add("Relu6", {lite_plus(c, x, 3)}), 1.0 / 6)}));
}

// 0.5 x (1 + erf(x / sqrt 2)), or with tanh(sqrt(2 / pi) (x + 0.044715 x^3)) in place of the error function.
void lite_gelu(Call& c) {
  const Value x = c.in(0);
  Value s;
  if (c.options<schema::GeluOptions>().approximate()) {
    const Value cube = c.b.add("Mul", {c.b.add("Square", {x}), x});
    s = c.b.add("Tanh", {lite_times(c, c.b.add("AddV2", {x, lite_times(c, cube, 0.044715)}), std::sqrt(2 / M_PI))});
  } else {
    s = c.b.add("Erf", {lite_times(c, x, M_SQRT1_2)});
  }
  c.set(0, c.b.add("Mul", {lite_times(c, x, 0.5), lite_plus(c, s, 1)}));
}

// Along the last axis; a length below 1e-6 counts as that.
void l2_normalization(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const Value squares = b.add("Sum", {b.add("Square", {x}), b.int32s({b.rank(x) - 1})}, {{"keep_dims", true}});
  const Value y = b.add("Mul", {x, b.add("Rsqrt", {b.add("Maximum", {squares, b.number(1e-12, x)})})});
  c.give(y, c.options<schema::L2NormOptions>().fused_activation_function());
}

void local_response(Call& c) {
  const auto& o = c.options<schema::LocalResponseNormalizationOptions>();
  c.set(0, c.b.add("LRN", {c.in(0)},
                   {{"depth_radius", int64_t{o.radius()}}, {"bias", o.bias()}, {"alpha", o.alpha()}, {"beta", o.beta()}}));
}

}  // namespace

const std::vector<LiteEntry>& lite_activation_entries() {
  using schema::ActivationFunctionType;
  static const std::vector<LiteEntry> entries = {
      {Code::ELU, [](Call& c) { c.set(0, c.b.add("Elu", {c.in(0)})); }},
      {Code::GELU, lite_gelu},
      {Code::HARD_SWISH, lite_hard_swish},
      {Code::L2_NORMALIZATION, l2_normalization},
      {Code::LEAKY_RELU, lite_leaky_relu},
      {Code::LOCAL_RESPONSE_NORMALIZATION, local_response},
      {Code::LOGISTIC, [](Call& c) { c.set(0, c.b.add("Sigmoid", {c.in(0)})); }},
      {Code::LOG_SOFTMAX, [](Call& c) { c.set(0, c.b.add("LogSoftmax", {c.in(0)})); }},
      {Code::PRELU, lite_prelu},
      {Code::RELU, lite_activation<ActivationFunctionType::RELU>, true},
      {Code::RELU6, lite_activation<ActivationFunctionType::RELU6>},
      {Code::RELU_0_TO_1, relu_0_to_1},
      {Code::RELU_N1_TO_1, lite_activation<ActivationFunctionType::RELU_N1_TO_1>},
      {Code::SOFTMAX, lite_softmax},
      {Code::TANH, lite_activation<ActivationFunctionType::TANH>},
  };
  return entries;
}

}  // namespace cytodet::graph::lite
