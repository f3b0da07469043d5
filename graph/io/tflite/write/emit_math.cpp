// Element by element, activations and reductions.
#include "core/error.h"
#include "graph/io/tflite/write/emit.h"
#include "graph/ir/conv_node.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

#define EMIT_PLAIN(tf, code)                                      \
  {                                                               \
    tf, [](LiteEmit& e) { e.op(Code::code, e.all(), {e.out()}); } \
  }
// With an activation behind it.
#define EMIT_ACTIVATED(tf, code, options_type)                                                                            \
  {                                                                                                                       \
    tf, [](LiteEmit& e) {                                                                                                 \
      Value end{e.id, 0};                                                                                                 \
      const auto activation = e.activation_behind(end);                                                                   \
      e.op<schema::options_type##Options>(Code::code, e.all(), {e.result(end)},                                           \
                                          [=](auto& b) { return schema::Create##options_type##Options(b, activation); }); \
    }                                                                                                                     \
  }

// A bias of nodes that take none themselves.
void emit_bias(LiteEmit& e) {
  if (is_channels_first(e.n) && e.shape(0).size() > 2)
    throw Error("", "has its channels first", "TensorFlow Lite wants them last");
  Value end{e.id, 0};
  const auto activation = e.activation_behind(end);
  e.op<schema::AddOptions>(Code::ADD, {e.in(0), e.in(1)}, {e.result(end)},
                           [=](auto& b) { return schema::CreateAddOptions(b, activation); });
}

void emit_maximum(LiteEmit& e, Code code) {
  e.op<schema::MaximumMinimumOptions>(code, e.all(), {e.out()}, [](auto& b) { return schema::CreateMaximumMinimumOptions(b); });
}

void emit_softmax(LiteEmit& e) {
  e.op<schema::SoftmaxOptions>(Code::SOFTMAX, {e.in(0)}, {e.out()},
                               [](auto& b) { return schema::CreateSoftmaxOptions(b, 1.0f); });
}

void emit_leaky(LiteEmit& e) {
  const float alpha = e.n.attr_or("alpha", 0.2f);
  e.op<schema::LeakyReluOptions>(Code::LEAKY_RELU, {e.in(0)}, {e.out()},
                                 [=](auto& b) { return schema::CreateLeakyReluOptions(b, alpha); });
}

void emit_lrn(LiteEmit& e) {
  const int radius = static_cast<int>(e.n.attr_or("depth_radius", int64_t{5}));
  const float bias = e.n.attr_or("bias", 1.0f), alpha = e.n.attr_or("alpha", 1.0f), beta = e.n.attr_or("beta", 0.5f);
  e.op<schema::LocalResponseNormalizationOptions>(Code::LOCAL_RESPONSE_NORMALIZATION, {e.in(0)}, {e.out()}, [=](auto& b) {
    return schema::CreateLocalResponseNormalizationOptions(b, radius, bias, alpha, beta);
  });
}

void emit_cast(LiteEmit& e) { e.op(Code::CAST, {e.in(0)}, {e.out()}); }

void emit_reduced(LiteEmit& e, Code code) {
  const bool keep = e.n.attr_or("keep_dims", false);
  e.op<schema::ReducerOptions>(code, {e.in(0), e.in_int32(1)}, {e.out()},
                               [=](auto& b) { return schema::CreateReducerOptions(b, keep); });
}
#define EMIT_REDUCED(tf, code)                           \
  {                                                      \
    tf, [](LiteEmit& e) { emit_reduced(e, Code::code); } \
  }

void emit_place(LiteEmit& e, Code code) {
  e.op(code, {e.in(0), e.in_int32(1)}, {e.out()});
  NetOp& op = e.writing().net.ops.back();
  const auto type = e.at(op.outputs[0]).dtype == DType::i32 ? schema::TensorType::INT32 : schema::TensorType::INT64;
  op.kind = code == Code::ARG_MAX ? schema::BuiltinOptions::ArgMaxOptions : schema::BuiltinOptions::ArgMinOptions;
  op.options = [=](flatbuffers::FlatBufferBuilder& b) {
    return code == Code::ARG_MAX ? schema::CreateArgMaxOptions(b, type).Union() : schema::CreateArgMinOptions(b, type).Union();
  };
}

}  // namespace

const std::vector<LiteEmitEntry>& lite_emit_math_entries() {
  static const std::vector<LiteEmitEntry> entries = {
      EMIT_PLAIN("Abs", ABS),
      EMIT_ACTIVATED("Add", ADD, Add),
      EMIT_ACTIVATED("AddV2", ADD, Add),
      EMIT_PLAIN("AddN", ADD_N),
      EMIT_REDUCED("All", REDUCE_ALL),
      EMIT_REDUCED("Any", REDUCE_ANY),
      {"ArgMax", [](LiteEmit& e) { emit_place(e, Code::ARG_MAX); }},
      {"ArgMin", [](LiteEmit& e) { emit_place(e, Code::ARG_MIN); }},
      EMIT_PLAIN("Atan2", ATAN2),
      {"BiasAdd", emit_bias},
      {"Cast", emit_cast},
      EMIT_PLAIN("Ceil", CEIL),
      EMIT_PLAIN("Cos", COS),
      EMIT_PLAIN("Elu", ELU),
      EMIT_PLAIN("Equal", EQUAL),
      EMIT_PLAIN("Exp", EXP),
      EMIT_PLAIN("Floor", FLOOR),
      EMIT_PLAIN("FloorDiv", FLOOR_DIV),
      EMIT_PLAIN("FloorMod", FLOOR_MOD),
      EMIT_PLAIN("Greater", GREATER),
      EMIT_PLAIN("GreaterEqual", GREATER_EQUAL),
      {"LRN", emit_lrn},
      {"LeakyRelu", emit_leaky},
      EMIT_PLAIN("Less", LESS),
      EMIT_PLAIN("LessEqual", LESS_EQUAL),
      EMIT_PLAIN("Log", LOG),
      EMIT_PLAIN("LogSoftmax", LOG_SOFTMAX),
      EMIT_PLAIN("LogicalAnd", LOGICAL_AND),
      EMIT_PLAIN("LogicalNot", LOGICAL_NOT),
      EMIT_PLAIN("LogicalOr", LOGICAL_OR),
      EMIT_REDUCED("Max", REDUCE_MAX),
      {"Maximum", [](LiteEmit& e) { emit_maximum(e, Code::MAXIMUM); }},
      EMIT_REDUCED("Mean", MEAN),
      EMIT_REDUCED("Min", REDUCE_MIN),
      {"Minimum", [](LiteEmit& e) { emit_maximum(e, Code::MINIMUM); }},
      EMIT_ACTIVATED("Mul", MUL, Mul),
      EMIT_PLAIN("Neg", NEG),
      EMIT_PLAIN("NotEqual", NOT_EQUAL),
      EMIT_PLAIN("Pow", POW),
      EMIT_REDUCED("Prod", REDUCE_PROD),
      EMIT_ACTIVATED("RealDiv", DIV, Div),
      EMIT_PLAIN("Relu", RELU),
      EMIT_PLAIN("Relu6", RELU6),
      EMIT_PLAIN("Round", ROUND),
      EMIT_PLAIN("Rsqrt", RSQRT),
      EMIT_PLAIN("Select", SELECT),
      EMIT_PLAIN("SelectV2", SELECT_V2),
      EMIT_PLAIN("Sigmoid", LOGISTIC),
      EMIT_PLAIN("Sign", SIGN),
      EMIT_PLAIN("Sin", SIN),
      {"Softmax", emit_softmax},
      EMIT_PLAIN("Sqrt", SQRT),
      EMIT_PLAIN("Square", SQUARE),
      EMIT_PLAIN("SquaredDifference", SQUARED_DIFFERENCE),
      EMIT_ACTIVATED("Sub", SUB, Sub),
      EMIT_REDUCED("Sum", SUM),
      EMIT_PLAIN("Tanh", TANH),
  };
  return entries;
}

}  // namespace cytodet::graph::lite
