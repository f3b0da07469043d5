// Activations. One that TensorFlow has no op for is composed of several, in a form that the compiler finds.
#include <cmath>

#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

Value times(Call& c, Value x, double k) { return c.b.add("Mul", {x, c.b.number(k, x)}); }
Value plus(Call& c, Value x, double k) { return c.b.add("AddV2", {x, c.b.number(k, x)}); }
Value above_zero(Call& c, Value x) { return c.b.add("Relu", {x}); }
Value below_zero(Call& c, Value x) { return c.b.add("Minimum", {x, c.b.number(0, x)}); }

template <const char* (*op)()>
void unary(Call& c) {
  c.set(0, c.b.add(op(), {c.in(0)}));
}

void relu(Call& c) {
  const Value x = c.in(0);
  c.set(0, is_integer(c.b.type(x)) ? c.b.add("Maximum", {x, c.b.number(0, x)}) : above_zero(c, x));
}

void leaky_relu(Call& c) { c.set(0, c.b.add("LeakyRelu", {c.in(0)}, {{"alpha", c.real("alpha", 0.01f)}})); }

// x > 0: x; else slope * x. The slope broadcasts to x alone.
void prelu(Call& c) {
  const Value x = c.in(0), slope = c.in(1);
  if (const Tensor* t = c.b.constant(slope); t && t->size() == 1 && t->dtype() == DType::f32)
    return c.set(0, c.b.add("LeakyRelu", {x}, {{"alpha", t->data<float>()[0]}}));
  const Value zero = c.b.number(0, x);
  c.set(0, c.b.add("AddV2", {c.b.add("Maximum", {x, zero}), c.b.add("Mul", {slope, c.b.add("Minimum", {x, zero})})}));
}

// alpha * (e^x - 1) below 0.
void elu(Call& c) {
  const float alpha = c.real("alpha", 1);
  const Value x = c.in(0);
  if (alpha == 1) return c.set(0, c.b.add("Elu", {x}));
  const Value curve = times(c, c.b.add("Expm1", {below_zero(c, x)}), alpha);
  c.set(0, c.b.add("AddV2", {above_zero(c, x), curve}));
}

void celu(Call& c) {
  const float alpha = c.real("alpha", 1);
  const Value x = c.in(0);
  const Value curve = times(c, c.b.add("Expm1", {times(c, below_zero(c, x), 1.0 / alpha)}), alpha);
  c.set(0, c.b.add("AddV2", {above_zero(c, x), curve}));
}

void selu(Call& c) {
  constexpr float kAlpha = 1.67326319217681884765625f, kGamma = 1.05070102214813232421875f;
  const float alpha = c.real("alpha", kAlpha), gamma = c.real("gamma", kGamma);
  const Value x = c.in(0);
  if (alpha == kAlpha && gamma == kGamma) return c.set(0, c.b.add("Selu", {x}));
  const Value curve = times(c, c.b.add("Expm1", {below_zero(c, x)}), double{alpha} * gamma);
  c.set(0, c.b.add("AddV2", {times(c, above_zero(c, x), gamma), curve}));
}

void thresholded_relu(Call& c) {
  const Value x = c.in(0), above = c.b.add("Greater", {x, c.b.number(c.real("alpha", 1), x)});
  c.set(0, c.b.add("SelectV2", {above, x, c.b.number(0, x)}));
}

// max(0, min(1, alpha * x + beta)); with PyTorch's slope of 1/6 it is Relu6(x + 3) / 6.
Value hard_sigmoid_of(Call& c, Value x, float alpha, float beta) {
  if (std::abs(alpha - 1.0f / 6) < 1e-6f && beta == 0.5f) return times(c, c.b.add("Relu6", {plus(c, x, 3)}), 1.0 / 6);
  const Value line = plus(c, times(c, x, alpha), beta);
  return c.b.add("Minimum", {c.b.add("Maximum", {line, c.b.number(0, x)}), c.b.number(1, x)});
}
void hard_sigmoid(Call& c) { c.set(0, hard_sigmoid_of(c, c.in(0), c.real("alpha", 0.2f), c.real("beta", 0.5f))); }
void hard_swish(Call& c) { c.set(0, c.b.add("Mul", {c.in(0), hard_sigmoid_of(c, c.in(0), 1.0f / 6, 0.5f)})); }

void mish(Call& c) {
  const Value x = c.in(0);
  c.set(0, c.b.add("Mul", {x, c.b.add("Tanh", {c.b.add("Softplus", {x})})}));
}

// 0.5 x (1 + erf(x / sqrt 2)), or with tanh(sqrt(2 / pi) (x + 0.044715 x^3)) in place of the error function.
void gelu(Call& c) {
  const Value x = c.in(0);
  const std::string form = c.text("approximate", "none");
  if (form != "none" && form != "tanh") refuse("has approximate \"" + form + "\"", "known are none and tanh");
  Value s;
  if (form == "none") {
    s = c.b.add("Erf", {times(c, x, M_SQRT1_2)});
  } else {
    const Value cube = c.b.add("Mul", {c.b.add("Square", {x}), x});
    s = c.b.add("Tanh", {times(c, c.b.add("AddV2", {x, times(c, cube, 0.044715)}), std::sqrt(2 / M_PI))});
  }
  c.set(0, c.b.add("Mul", {times(c, x, 0.5), plus(c, s, 1)}));
}

// x + bias below -lambd, x - bias above lambd, 0 between.
void shrink(Call& c) {
  const Value x = c.in(0);
  const float bias = c.real("bias", 0), lambd = c.real("lambd", 0.5f);
  const Value low = c.b.add("Less", {x, c.b.number(-lambd, x)}), high = c.b.add("Greater", {x, c.b.number(lambd, x)});
  const Value zero = c.b.number(0, x);
  const Value up = c.b.add("SelectV2", {high, c.b.add("Sub", {x, c.b.number(bias, x)}), zero});
  c.set(0, c.b.add("SelectV2", {low, plus(c, x, bias), up}));
}

// f along one axis, which is brought to the end and back.
template <class F>
Value along(Call& c, Value x, int64_t axis, F f) {
  const int64_t rank = c.b.rank(x);
  axis = Call::axis_in(axis, rank);
  std::vector<int64_t> perm;
  if (rank >= 3 && axis == 1) {
    perm = Builder::last_perm(rank);
  } else {
    for (int64_t d = 0; d < rank; ++d)
      if (d != axis) perm.push_back(d);
    perm.push_back(axis);
  }
  return c.b.transpose(f(c.b.transpose(x, perm)), inverse_perm(perm));
}
// Before operator set 13 all dimensions from the axis on are one.
template <class F>
Value along_coerced(Call& c, F f) {
  const Value x = c.in(0);
  const int64_t rank = c.b.rank(x), axis = Call::axis_in(c.integer("axis", c.opset < 13 ? 1 : -1), std::max<int64_t>(1, rank));
  if (c.opset >= 13 || axis == rank - 1) return along(c, x, axis, f);
  const Shape s = c.b.static_dims(x);
  int64_t rows = 1;
  for (int64_t d = 0; d < axis; ++d) rows *= s[static_cast<size_t>(d)];
  const Shape whole = {rows, rows ? elements(s) / rows : 0};
  return c.b.reshape(f(c.b.reshape(x, whole)), s);
}

void softmax(Call& c) {
  c.set(0, along_coerced(c, [&](Value x) { return c.b.add("Softmax", {x}); }));
}
void log_softmax(Call& c) {
  c.set(0, along_coerced(c, [&](Value x) { return c.b.add("LogSoftmax", {x}); }));
}
// 1 at the first largest element, 0 elsewhere.
void hardmax(Call& c) {
  c.set(0, along_coerced(c, [&](Value x) {
          const int64_t rank = c.b.rank(x);
          const Value top = c.b.add("ArgMax", {x, c.b.int32(rank - 1)}, {{"output_type", DType::i64}});
          const Value depth = c.b.cast(c.b.dimension(x, rank - 1), DType::i32);
          return c.b.add("OneHot", {top, depth, c.b.number(1, x), c.b.number(0, x)}, {{"axis", int64_t{-1}}});
        }));
}

const char* sigmoid_op() { return "Sigmoid"; }
const char* softplus_op() { return "Softplus"; }
const char* softsign_op() { return "Softsign"; }

}  // namespace

const std::vector<OnnxOp>& activation_entries() {
  static const std::vector<OnnxOp> entries = {
      {"Celu", 12, celu},
      {"Elu", 6, elu},
      {"Gelu", 20, gelu},
      {"com.microsoft.Gelu", 1, gelu},
      {"HardSigmoid", 6, hard_sigmoid},
      {"HardSwish", 14, hard_swish},
      {"Hardmax", 1, hardmax},
      {"LeakyRelu", 6, leaky_relu},
      {"LogSoftmax", 1, log_softmax},
      {"Mish", 18, mish},
      {"PRelu", 7, prelu},
      {"Relu", 6, relu},
      {"Selu", 6, selu},
      {"Shrink", 9, shrink},
      {"Sigmoid", 6, unary<sigmoid_op>},
      {"Softmax", 1, softmax},
      {"Softplus", 1, unary<softplus_op>},
      {"Softsign", 1, unary<softsign_op>},
      {"ThresholdedRelu", 10, thresholded_relu},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
