// Element by element: arithmetic, comparisons, logic, with ONNX's broadcasting, which is TensorFlow's.
#include <cmath>
#include <limits>

#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

// An ONNX operator that TensorFlow has under the name `tf`.
#define ONE_TO_ONE(onnx, tf)                                 \
  {                                                          \
    onnx, 1, [](Call& c) { c.set(0, c.b.add(tf, c.all())); } \
  }

// Integers divide towards zero.
void divide(Call& c) {
  const bool integers = is_integer(c.b.type(c.in(0)));
  c.set(0, c.b.add(integers ? "TruncateDiv" : "RealDiv", {c.in(0), c.in(1)}));
}

void modulo(Call& c) { c.set(0, c.b.add(c.flag("fmod", false) ? "TruncateMod" : "FloorMod", {c.in(0), c.in(1)})); }

// The exponent may be of another type; integers with a broken exponent are computed in float64.
void power(Call& c) {
  const DType base = c.b.type(c.in(0)), exponent = c.b.type(c.in(1));
  if (is_integer(base) && is_floating(exponent)) {
    const Value y = c.b.add("Pow", {c.b.cast(c.in(0), DType::f64), c.b.cast(c.in(1), DType::f64)});
    return c.set(0, c.b.cast(y, base));
  }
  c.set(0, c.b.add("Pow", {c.in(0), c.b.cast(c.in(1), base)}));
}

template <const char* (*op)()>
void fold_inputs(Call& c) {
  Value y = c.in(0);
  for (size_t i = 1; i < c.inputs(); ++i) y = c.b.add(op(), {y, c.in(i)});
  c.set(0, c.inputs() == 1 ? c.b.add("Identity", {y}) : y);
}
const char* add_op() { return "AddV2"; }
const char* max_op() { return "Maximum"; }
const char* min_op() { return "Minimum"; }

void mean(Call& c) {
  Value y = c.in(0);
  for (size_t i = 1; i < c.inputs(); ++i) y = c.b.add("AddV2", {y, c.in(i)});
  c.set(0, c.b.add("RealDiv", {y, c.b.number(static_cast<double>(c.inputs()), y)}));
}

void bit_shift(Call& c) {
  const std::string to = c.text("direction", "");
  if (to != "LEFT" && to != "RIGHT") refuse("shifts in direction \"" + to + "\"", "known are LEFT and RIGHT");
  c.set(0, c.b.add(to == "LEFT" ? "LeftShift" : "RightShift", {c.in(0), c.in(1)}));
}

void is_infinite(Call& c) {
  const Value x = c.in(0);
  const bool up = c.flag("detect_positive", true), down = c.flag("detect_negative", true);
  if (up && down) return c.set(0, c.b.add("IsInf", {x}));
  const double inf = std::numeric_limits<double>::infinity();
  if (!up && !down) return c.set(0, c.b.add("NotEqual", {x, x}));
  c.set(0, c.b.add("Equal", {x, c.b.number(up ? inf : -inf, x)}));
}

// Bounds: attributes before operator set 11, inputs since, each of which may be left out.
void clip(Call& c) {
  const Value x = c.in(0);
  std::optional<Value> low, high;
  if (c.opset < 11) {
    if (c.has_attr("min")) low = c.b.number(c.real("min", 0), x);
    if (c.has_attr("max")) high = c.b.number(c.real("max", 0), x);
  } else {
    if (c.has(1)) low = c.in(1);
    if (c.has(2)) high = c.in(2);
  }
  const auto is = [&](const std::optional<Value>& v, double wanted) {
    const Tensor* t = v ? c.b.constant(*v) : nullptr;
    return t && t->size() == 1 && t->as_double() == wanted;
  };
  const bool floats = is_floating(c.b.type(x));
  if (floats && is(low, 0) && is(high, 6)) return c.set(0, c.b.add("Relu6", {x}));
  if (floats && is(low, 0) && !high) return c.set(0, c.b.add("Relu", {x}));
  Value y = x;
  if (low) y = c.b.add("Maximum", {y, *low});
  if (high) y = c.b.add("Minimum", {y, *high});
  c.set(0, low || high ? y : c.b.add("Identity", {y}));
}

void exclusive_or(Call& c) { c.set(0, c.b.add("NotEqual", {c.in(0), c.in(1)})); }

}  // namespace

const std::vector<OnnxOp>& elementwise_entries() {
  static const std::vector<OnnxOp> entries = {
      ONE_TO_ONE("Abs", "Abs"),
      ONE_TO_ONE("Acos", "Acos"),
      ONE_TO_ONE("Acosh", "Acosh"),
      ONE_TO_ONE("Add", "AddV2"),
      ONE_TO_ONE("And", "LogicalAnd"),
      ONE_TO_ONE("Asin", "Asin"),
      ONE_TO_ONE("Asinh", "Asinh"),
      ONE_TO_ONE("Atan", "Atan"),
      ONE_TO_ONE("Atanh", "Atanh"),
      {"BitShift", 11, bit_shift},
      ONE_TO_ONE("BitwiseAnd", "BitwiseAnd"),
      ONE_TO_ONE("BitwiseNot", "Invert"),
      ONE_TO_ONE("BitwiseOr", "BitwiseOr"),
      ONE_TO_ONE("BitwiseXor", "BitwiseXor"),
      ONE_TO_ONE("Ceil", "Ceil"),
      {"Clip", 1, clip},
      ONE_TO_ONE("Cos", "Cos"),
      ONE_TO_ONE("Cosh", "Cosh"),
      {"Div", 7, divide},
      ONE_TO_ONE("Equal", "Equal"),
      ONE_TO_ONE("Erf", "Erf"),
      ONE_TO_ONE("Exp", "Exp"),
      ONE_TO_ONE("Floor", "Floor"),
      ONE_TO_ONE("Greater", "Greater"),
      ONE_TO_ONE("GreaterOrEqual", "GreaterEqual"),
      {"IsInf", 10, is_infinite},
      ONE_TO_ONE("IsNaN", "IsNan"),
      ONE_TO_ONE("Less", "Less"),
      ONE_TO_ONE("LessOrEqual", "LessEqual"),
      ONE_TO_ONE("Log", "Log"),
      {"Max", 8, fold_inputs<max_op>},
      {"Mean", 8, mean},
      {"Min", 8, fold_inputs<min_op>},
      {"Mod", 10, modulo},
      ONE_TO_ONE("Mul", "Mul"),
      ONE_TO_ONE("Neg", "Neg"),
      ONE_TO_ONE("Not", "LogicalNot"),
      ONE_TO_ONE("Or", "LogicalOr"),
      {"Pow", 7, power},
      ONE_TO_ONE("Reciprocal", "Reciprocal"),
      ONE_TO_ONE("Round", "Round"),
      ONE_TO_ONE("Sign", "Sign"),
      ONE_TO_ONE("Sin", "Sin"),
      ONE_TO_ONE("Sinh", "Sinh"),
      ONE_TO_ONE("Sqrt", "Sqrt"),
      ONE_TO_ONE("Sub", "Sub"),
      {"Sum", 8, fold_inputs<add_op>},
      ONE_TO_ONE("Tan", "Tan"),
      ONE_TO_ONE("Tanh", "Tanh"),
      ONE_TO_ONE("Where", "SelectV2"),
      {"Xor", 7, exclusive_or},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
