// Arithmetic, activations, products, quantized values.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "graph/io/builder.h"
#include "graph/io/onnx/tensor_proto.h"
#include "graph/io/onnx/write/emit.h"

namespace cytodet::graph::onnx {
namespace {

#define SAME_AS(tf, onnx)                                                       \
  {                                                                             \
    tf, [](Emit& e) {                                                           \
      std::vector<std::string> inputs;                                          \
      for (size_t i = 0; i < e.n.inputs.size(); ++i) inputs.push_back(e.in(i)); \
      e.last(onnx, inputs);                                                     \
    }                                                                           \
  }

std::string relu6_bound(Emit& e, double v) { return e.number(v, e.fact(0).dtype); }
void emit_relu6(Emit& e) { e.last("Clip", {e.in(0), relu6_bound(e, 0), relu6_bound(e, 6)}); }
void emit_rsqrt(Emit& e) { e.last("Reciprocal", {e.add("Sqrt", {e.in(0)})}); }
void emit_square(Emit& e) { e.last("Mul", {e.in(0), e.in(0)}); }
void emit_expm1(Emit& e) { e.last("Sub", {e.add("Exp", {e.in(0)}), e.number(1, e.fact(0).dtype)}); }
void emit_log1p(Emit& e) { e.last("Log", {e.add("Add", {e.in(0), e.number(1, e.fact(0).dtype)})}); }
void emit_leaky_relu(Emit& e) { e.last("LeakyRelu", {e.in(0)}, {{"alpha", e.n.attr_or("alpha", 0.2f)}}); }
void emit_squared_difference(Emit& e) {
  const std::string d = e.add("Sub", {e.in(0), e.in(1)});
  e.last("Mul", {d, d});
}
void emit_not_equal(Emit& e) { e.last("Not", {e.add("Equal", {e.in(0), e.in(1)})}); }
void emit_floor_div(Emit& e) {
  if (!is_floating(e.fact(0).dtype)) throw Error("", "divides whole numbers downwards", "ONNX divides them towards zero");
  e.last("Floor", {e.add("Div", {e.in(0), e.in(1)})});
}
// The remainder has the divisor's sign; ONNX's of numbers has the dividend's.
void emit_floor_mod(Emit& e) {
  const DType t = e.fact(0).dtype;
  if (!is_floating(t)) return e.last("Mod", {e.in(0), e.in(1)}, {{"fmod", int64_t{0}}});
  if (size_of(t) == 2) throw Error("", "takes remainders of 16-bit numbers", "they round otherwise in ONNX");
  const std::string zero = e.number(0, t), rest = e.add("Mod", {e.in(0), e.in(1)}, {{"fmod", int64_t{1}}});
  const std::string turned = e.add("Xor", {e.add("Less", {rest, zero}), e.add("Less", {e.in(1), zero})});
  const std::string moved = e.add("And", {turned, e.add("Not", {e.add("Equal", {rest, zero})})});
  e.last("Where", {moved, e.add("Add", {rest, e.in(1)}), rest});
}
// TensorFlow's older Select takes one condition for each row.
void emit_select(Emit& e) {
  if (e.n.op == "Select" && e.fact(0).shape != e.fact(1).shape) throw Error("", "chooses whole rows", "use SelectV2");
  e.last("Where", {e.in(0), e.in(1), e.in(2)});
}
void emit_div_no_nan(Emit& e) {
  const DType t = e.fact(0).dtype;
  const std::string zero = e.number(0, t), none = e.add("Equal", {e.in(1), zero});
  e.last("Where", {none, zero, e.add("Div", {e.in(0), e.in(1)})});
}
void emit_cast(Emit& e) {
  const int type = onnx_type_of(e.n.attr<DType>("DstT"));
  if (type == 0) throw Error("", "casts to a type that ONNX does not have");
  e.last("Cast", {e.in(0)}, {{"to", int64_t{type}}});
}

std::string transposed(Emit& e, size_t i, bool transpose) {
  if (!transpose) return e.in(i);
  AttrList perm;
  for (int64_t d = 0; d < e.rank(i); ++d) perm.ints.push_back(d);
  std::swap(perm.ints.back(), perm.ints[perm.ints.size() - 2]);
  return e.add("Transpose", {e.in(i)}, {{"perm", perm}});
}
void emit_product(Emit& e) {
  const bool batch = e.n.op != "MatMul";
  const std::string a = transposed(e, 0, e.n.attr_or(batch ? "adj_x" : "transpose_a", false));
  e.last("MatMul", {a, transposed(e, 1, e.n.attr_or(batch ? "adj_y" : "transpose_b", false))});
}

// The last dimension.
void emit_softmax(Emit& e) { e.last(e.n.op, {e.in(0)}, {{"axis", int64_t{-1}}}); }

// ONNX's own operators, whose attributes are ready.
void emit_onnx(Emit& e) {
  AttrMap attrs = e.n.attrs;
  attrs.erase(kOnnxType);
  attrs.erase(kOnnxShape);
  const std::string op = e.n.op.substr(5);
  std::vector<std::string> inputs;
  for (size_t i = 0; i < e.n.inputs.size(); ++i) inputs.push_back(e.in(i));
  if (op == "Resize") inputs.insert(inputs.begin() + 1, e.fact(1).dtype == DType::i64 ? 2 : 1, "");  // no region; sizes or scales
  e.last(op, inputs, attrs);
}

// Quantized values of weights: TensorFlow's SCALED ranges as scales.
void emit_weights(Emit& e) {
  const Tensor &quantized = e.need_constant(0), &low = e.need_constant(1), &high = e.need_constant(2);
  if (quantized.dtype() != DType::qint8 || e.n.attr_or<std::string>("mode", "") != "SCALED")
    throw Error("", "has quantized values that are no weights");
  std::vector<float> scales;
  for (int64_t i = 0; i < low.size(); ++i)
    scales.push_back(static_cast<float>(std::max(std::abs(low.as_double(i)), std::abs(high.as_double(i)))) / 127);
  const bool one = scales.size() == 1 && e.n.attr_or("axis", int64_t{-1}) < 0;
  const Shape shape = one ? Shape{} : Shape{low.size()};
  const std::string c = e.held("codes", quantized.bitcast(DType::i8)), s = e.held("scales", Tensor::from<float>(shape, scales));
  const std::string z = e.held("zeros", Tensor(DType::i8, shape));
  AttrMap attrs;
  if (!one) attrs.emplace("axis", e.n.attr<int64_t>("axis"));
  e.last("DequantizeLinear", {c, s, z}, attrs);
}

}  // namespace

const std::vector<EmitEntry>& emit_math_entries() {
  static const std::vector<EmitEntry> entries = {
      SAME_AS("Abs", "Abs"),
      SAME_AS("Acos", "Acos"),
      SAME_AS("Acosh", "Acosh"),
      SAME_AS("Add", "Add"),
      SAME_AS("AddN", "Sum"),
      SAME_AS("AddV2", "Add"),
      SAME_AS("Asin", "Asin"),
      SAME_AS("Asinh", "Asinh"),
      SAME_AS("Atan", "Atan"),
      SAME_AS("Atanh", "Atanh"),
      {"BatchMatMul", emit_product},
      {"BatchMatMulV2", emit_product},
      {"BatchMatMulV3", emit_product},
      {"Cast", emit_cast},
      SAME_AS("Ceil", "Ceil"),
      SAME_AS("Cos", "Cos"),
      SAME_AS("Cosh", "Cosh"),
      {"Dequantize", emit_weights},
      {"DivNoNan", emit_div_no_nan},
      SAME_AS("Elu", "Elu"),
      SAME_AS("Equal", "Equal"),
      SAME_AS("Erf", "Erf"),
      SAME_AS("Exp", "Exp"),
      {"Expm1", emit_expm1},
      SAME_AS("Floor", "Floor"),
      {"FloorDiv", emit_floor_div},
      {"FloorMod", emit_floor_mod},
      SAME_AS("Greater", "Greater"),
      SAME_AS("GreaterEqual", "GreaterOrEqual"),
      SAME_AS("Identity", "Identity"),
      SAME_AS("IsNan", "IsNaN"),
      {"LeakyRelu", emit_leaky_relu},
      SAME_AS("Less", "Less"),
      SAME_AS("LessEqual", "LessOrEqual"),
      SAME_AS("Log", "Log"),
      {"Log1p", emit_log1p},
      {"LogSoftmax", emit_softmax},
      SAME_AS("LogicalAnd", "And"),
      SAME_AS("LogicalNot", "Not"),
      SAME_AS("LogicalOr", "Or"),
      {"MatMul", emit_product},
      SAME_AS("Maximum", "Max"),
      SAME_AS("Minimum", "Min"),
      SAME_AS("Mul", "Mul"),
      SAME_AS("Neg", "Neg"),
      {"NotEqual", emit_not_equal},
      SAME_AS("Pow", "Pow"),
      SAME_AS("RealDiv", "Div"),
      SAME_AS("Reciprocal", "Reciprocal"),
      SAME_AS("Relu", "Relu"),
      {"Relu6", emit_relu6},
      SAME_AS("Round", "Round"),
      {"Rsqrt", emit_rsqrt},
      {"Select", emit_select},
      {"SelectV2", emit_select},
      SAME_AS("Selu", "Selu"),
      SAME_AS("Sigmoid", "Sigmoid"),
      SAME_AS("Sign", "Sign"),
      SAME_AS("Sin", "Sin"),
      SAME_AS("Sinh", "Sinh"),
      {"Softmax", emit_softmax},
      SAME_AS("Softplus", "Softplus"),
      SAME_AS("Softsign", "Softsign"),
      SAME_AS("Sqrt", "Sqrt"),
      {"Square", emit_square},
      {"SquaredDifference", emit_squared_difference},
      SAME_AS("Sub", "Sub"),
      SAME_AS("Tan", "Tan"),
      SAME_AS("Tanh", "Tanh"),
      {"onnx:AveragePool", emit_onnx},
      {"onnx:BatchNormalization", emit_onnx},
      {"onnx:Conv", emit_onnx},
      {"onnx:ConvTranspose", emit_onnx},
      {"onnx:DepthToSpace", emit_onnx},
      {"onnx:DequantizeLinear", emit_onnx},
      {"onnx:LRN", emit_onnx},
      {"onnx:MaxPool", emit_onnx},
      {"onnx:QuantizeLinear", emit_onnx},
      {"onnx:Resize", emit_onnx},
      {"onnx:SpaceToDepth", emit_onnx},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
