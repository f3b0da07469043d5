// Element by element: arithmetic, comparisons, logic. Broadcasting is TensorFlow's.
#include "graph/io/tflite/op_table.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

// TensorFlow's op of that meaning.
#define LITE_ONE_TO_ONE(code, tf)                               \
  {                                                             \
    Code::code, [](Call& c) { c.set(0, c.b.add(tf, c.all())); } \
  }
#define LITE_MOVING(code, tf)                                         \
  {                                                                   \
    Code::code, [](Call& c) { c.set(0, c.b.add(tf, c.all())); }, true \
  }
// A binary operator followed by the operator's own activation.
#define LITE_ACTIVATED(code, tf, options_type)                                                                               \
  {                                                                                                                          \
    Code::code, [](Call& c) { c.give(c.b.add(tf, c.all()), c.options<schema::options_type>().fused_activation_function()); } \
  }

// Whole numbers divide towards zero.
void lite_divide(Call& c) {
  const Value y = c.b.add(is_integer(c.b.type(c.in(0))) ? "TruncateDiv" : "RealDiv", c.all());
  c.give(y, c.options<schema::DivOptions>().fused_activation_function());
}

void lite_cast(Call& c) {
  const LiteTensor& to = c.result(0);
  const DType type = to.is_quantized() ? DType::f32 : to.dtype;
  const Value x = c.in(0);
  c.set(0, c.b.type(x) == type ? c.b.add("Identity", {x}) : c.b.cast(x, type));
}

void lite_zeros_like(Call& c) { c.set(0, c.b.add("ZerosLike", {c.in(0)})); }

}  // namespace

const std::vector<LiteEntry>& lite_elementwise_entries() {
  static const std::vector<LiteEntry> entries = {
      LITE_ONE_TO_ONE(ABS, "Abs"),
      LITE_ACTIVATED(ADD, "AddV2", AddOptions),
      LITE_ONE_TO_ONE(ADD_N, "AddN"),
      LITE_ONE_TO_ONE(ATAN2, "Atan2"),
      LITE_ONE_TO_ONE(BITWISE_XOR, "BitwiseXor"),
      {Code::CAST, lite_cast},
      LITE_ONE_TO_ONE(CEIL, "Ceil"),
      LITE_ONE_TO_ONE(COS, "Cos"),
      {Code::DIV, lite_divide},
      LITE_ONE_TO_ONE(EQUAL, "Equal"),
      LITE_ONE_TO_ONE(EXP, "Exp"),
      LITE_ONE_TO_ONE(FLOOR, "Floor"),
      LITE_ONE_TO_ONE(FLOOR_DIV, "FloorDiv"),
      LITE_ONE_TO_ONE(FLOOR_MOD, "FloorMod"),
      LITE_ONE_TO_ONE(GREATER, "Greater"),
      LITE_ONE_TO_ONE(GREATER_EQUAL, "GreaterEqual"),
      LITE_ONE_TO_ONE(LESS, "Less"),
      LITE_ONE_TO_ONE(LESS_EQUAL, "LessEqual"),
      LITE_ONE_TO_ONE(LOG, "Log"),
      LITE_ONE_TO_ONE(LOGICAL_AND, "LogicalAnd"),
      LITE_ONE_TO_ONE(LOGICAL_NOT, "LogicalNot"),
      LITE_ONE_TO_ONE(LOGICAL_OR, "LogicalOr"),
      LITE_MOVING(MAXIMUM, "Maximum"),
      LITE_MOVING(MINIMUM, "Minimum"),
      LITE_ACTIVATED(MUL, "Mul", MulOptions),
      LITE_ONE_TO_ONE(NEG, "Neg"),
      LITE_ONE_TO_ONE(NOT_EQUAL, "NotEqual"),
      LITE_ONE_TO_ONE(POW, "Pow"),
      LITE_ONE_TO_ONE(RIGHT_SHIFT, "RightShift"),
      LITE_ONE_TO_ONE(ROUND, "Round"),
      LITE_ONE_TO_ONE(RSQRT, "Rsqrt"),
      LITE_MOVING(SELECT, "Select"),
      LITE_MOVING(SELECT_V2, "SelectV2"),
      LITE_ONE_TO_ONE(SIGN, "Sign"),
      LITE_ONE_TO_ONE(SIN, "Sin"),
      LITE_ONE_TO_ONE(SQRT, "Sqrt"),
      LITE_ONE_TO_ONE(SQUARE, "Square"),
      LITE_ONE_TO_ONE(SQUARED_DIFFERENCE, "SquaredDifference"),
      LITE_ACTIVATED(SUB, "Sub", SubOptions),
      {Code::ZEROS_LIKE, lite_zeros_like},
  };
  return entries;
}

}  // namespace cytodet::graph::lite
