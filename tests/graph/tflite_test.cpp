// TensorFlow Lite models: every operator on its case, a network in all modes, variables, names, and what is refused.
#include "graph/io/tflite/tflite.h"

#include <gmock/gmock.h>

#include <limits>
#include <set>

#include "core/file.h"
#include "graph/io/tflite/lite_model.h"
#include "graph/io/tflite/op_table.h"
#include "graph/ir/endpoints.h"
#include "graph/quantized/quant_nodes.h"
#include "tests/error_of.h"
#include "tests/graph/cases.h"
#include "tests/graph/lite_writer.h"

namespace cytodet::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

fs::path lite_case(const std::string& name) { return data("graph/tflite/" + name); }

class LiteCase : public ::testing::TestWithParam<std::string> {};

TEST_P(LiteCase, EqualsTheInterpreter) {
  const Graph graph = read_graph(lite_case(GetParam()) / "model.tflite");
  const Case c = read_case(lite_case(GetParam()) / "case.json");
  Feeds feeds;
  for (const auto& [name, tensor] : c.inputs) feeds[graph.value(name)] = tensor;
  std::vector<Value> fetches;
  for (const auto& [name, wanted] : c.outputs) fetches.push_back(graph.value(name));
  ASSERT_FALSE(fetches.empty());
  const std::vector<Tensor> got = interpret(graph, feeds, fetches);
  size_t i = 0;
  for (const auto& [name, wanted] : c.outputs) EXPECT_EQ(difference(got[i++], wanted, tolerance_of(c, name)), "") << name;
}
std::string lite_test_name(const ::testing::TestParamInfo<std::string>& info) { return info.param; }
INSTANTIATE_TEST_SUITE_P(Cases, LiteCase, ::testing::ValuesIn(case_names(data("graph/tflite"))), lite_test_name);

TEST(Lite, EveryOperatorHasACase) {
  std::set<int> codes;
  std::set<std::string> custom;
  for (const std::string& name : case_names(data("graph/tflite"))) {
    const lite::LiteModel model = lite::parse_lite(read_file(lite_case(name) / "model.tflite"), name);
    for (const lite::LiteGraph& g : model.graphs)
      for (const lite::LiteOp& op : g.ops) {
        codes.insert(op.code);
        custom.insert(op.custom);
      }
  }
  std::vector<std::string> without;
  for (const lite::LiteEntry& entry : lite::lite_entries())
    if (!codes.contains(static_cast<int>(entry.code))) without.push_back(lite::schema::EnumNameBuiltinOperator(entry.code));
  for (const lite::CustomEntry& entry : lite::custom_entries())
    if (!custom.contains(entry.name)) without.push_back(entry.name);
  EXPECT_THAT(without, ::testing::IsEmpty()) << "run scripts/make_tflite_golden";
}

TEST(Lite, QuantizedLayersTakeTheFormThatRunsInEightBits) {
  for (const char* name : {"net_integer", "net_full_integer"}) {
    const Graph graph = read_graph(lite_case(name) / "model.tflite");
    int layers = 0;
    for (NodeId id : graph.ids()) {
      const std::string& op = graph.node(id).op;
      if (op != "Conv2D" && op != "DepthwiseConv2dNative" && op != "MatMul") continue;
      ++layers;
      EXPECT_TRUE(is_quantized(graph, id)) << name << ": " << node_text(graph.node(id));
    }
    EXPECT_EQ(layers, 8) << name;
  }
}

// A variable is an input that need not be fed and an output: what it holds after one run is fed to the next.
TEST(Lite, VariablesAreInputsAndOutputs) {
  const Graph g = read_graph(lite_case("ASSIGN_VARIABLE_float32") / "model.tflite");
  EXPECT_THAT(find_outputs(g), ::testing::UnorderedElementsAre("y", "ring_next"));
  Feeds feeds;
  for (float v = 1; v <= 4; ++v) {
    feeds[g.value("x")] = Tensor::from<float>({1, 1, 2}, {v, -v});
    const auto got = interpret(g, feeds, {g.value("y"), g.value("ring_next")});
    const float mean = v == 1 ? 1.0f / 3 : v == 2 ? 1 : v - 1;  // of the last three, which are 0 at first
    EXPECT_EQ(difference(got[0], Tensor::from<float>({1, 2}, {mean, -mean})), "") << v;
    feeds[g.value("ring")] = got[1];
  }
}

TEST(Lite, InputsAndOutputsHaveTheFilesTypes) {
  const Graph g = read_graph(lite_case("net_full_integer") / "model.tflite");
  const std::vector<std::string> inputs = find_inputs(g), outputs = find_outputs(g);
  ASSERT_EQ(inputs.size(), 1u);
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(g.node(g.require(inputs[0])).attr<DType>("dtype"), DType::u8);
  EXPECT_EQ(Facts(g).of(g.value(outputs[0])).dtype, DType::u8);
}

TEST(Lite, OpenSizesAreStated) {
  LiteWriter w;
  w.tensor("x", {1, 4}, {-1, 4});
  w.tensor("y", {1, 4});
  w.op(lite::schema::BuiltinOperator::RELU, {0}, {1});
  const std::string bytes = w.bytes({0}, {1});
  const auto shape = [&](const InputSizes& sizes) {
    const Graph g = parse_tflite(bytes, "m.tflite", sizes);
    return g.node(g.require("x")).attr<ShapeAttr>("shape").dims;
  };
  EXPECT_EQ(shape({}), (Shape{1, 4}));
  EXPECT_EQ(shape({{"x", {3, 4}}}), (Shape{3, 4}));
  EXPECT_THAT(error_of([&] {
                shape({{"x", {3, 5}}});
              }),
              HasSubstr("--input x: its shape is to be [3,5], but the graph has [?,4]"));
  EXPECT_THAT(error_of([&] { shape({{"z", {3, 4}}}); }), HasSubstr("no input of this name"));
}

std::string lite_refusal(const std::string& bytes) {
  return error_of([&] { parse_tflite(bytes, "m.tflite"); });
}

TEST(Lite, WhatIsNotReadIsNamed) {
  using lite::schema::BuiltinOperator;
  const auto one = [](BuiltinOperator code, const std::string& custom = {}) {
    LiteWriter w;
    w.tensor("x", {1, 4});
    w.tensor("y", {1, 4});
    w.op(code, {0}, {1}, custom);
    return w.bytes({0}, {1});
  };
  EXPECT_THAT(lite_refusal(one(BuiltinOperator::LSTM)), HasSubstr("m.tflite: operator LSTM (tensor y) is not read"));
  EXPECT_THAT(lite_refusal(one(BuiltinOperator::DENSIFY)), HasSubstr("its weights are stored sparse"));
  EXPECT_THAT(lite_refusal(one(BuiltinOperator::CUSTOM, "MyOp")), HasSubstr("operator MyOp (tensor y) is not read"));
  EXPECT_THAT(lite_refusal(one(static_cast<BuiltinOperator>(999))), HasSubstr("operator 999"));
  EXPECT_THAT(lite_refusal(one(BuiltinOperator::CONV_2D)), HasSubstr("m.tflite: operator CONV_2D of tensor y: has no input 1"));
  EXPECT_THAT(lite_refusal(one(BuiltinOperator::READ_VARIABLE)), HasSubstr("reads no variable"));
}

TEST(Lite, DamagedFilesAreRefused) {
  const std::string whole = read_file(lite_case("CONV_2D_int8") / "model.tflite");
  EXPECT_THAT(lite_refusal(""), HasSubstr("m.tflite: is empty"));
  EXPECT_THAT(lite_refusal("xxxxTFL4xxxx"), HasSubstr("is no TensorFlow Lite model"));
  EXPECT_THAT(lite_refusal(whole.substr(0, whole.size() / 2)),
              HasSubstr("m.tflite: is a TensorFlow Lite model whose tables do not fit"));
  std::string flipped = whole;  // the offset of the root table
  flipped[1] = '\x7f';
  EXPECT_THAT(lite_refusal(flipped), HasSubstr("m.tflite"));
  using lite::schema::BuiltinOperator;
  const auto with = [](auto change) {
    LiteWriter w;
    w.tensor("x", {1, 4});
    w.tensor("y", {1, 4});
    w.op(BuiltinOperator::RELU, {0}, {1});
    std::vector<int> in{0}, out{1};
    change(w, in, out);
    return w.bytes(in, out);
  };
  EXPECT_THAT(lite_refusal(with([](LiteWriter&, auto&, auto& out) { out = {7}; })), HasSubstr("names tensor 7 of 2"));
  EXPECT_THAT(lite_refusal(with([](LiteWriter&, auto&, auto& out) { out = {}; })), HasSubstr("has no outputs"));
  EXPECT_THAT(lite_refusal(with([](LiteWriter& w, auto&, auto&) { w.tensor("w", {-1}); })),
              HasSubstr("tensor w: has a shape of"));
  EXPECT_THAT(lite_refusal(with([](LiteWriter& w, auto&, auto&) { w.tensor("w", {3}, {}, std::string(4, 'a')); })),
              HasSubstr("tensor w: has 4 bytes for [3] values of float32"));
  EXPECT_THAT(lite_refusal(with([](LiteWriter& w, auto&, auto&) {
                w.tensor("w", {1 << 30, 1 << 30}, {}, std::string(4, 'a'));
              })),
              HasSubstr("tensor w"));
  EXPECT_THAT(lite_refusal(with([](LiteWriter& w, auto&, auto&) { w.op(BuiltinOperator::RELU, {0}, {1}); })),
              HasSubstr("makes tensor y, which is made before"));
  EXPECT_THAT(lite_refusal(with([](LiteWriter& w, auto& in, auto&) {
                w.op(BuiltinOperator::RELU, {1}, {0});
                in = {};
              })),
              HasSubstr("reads tensor x, which no operator before it makes"));
  // One buffer under thousands of tensors.
  LiteWriter shared;
  const int buffer = shared.buffer(std::string(1 << 20, 'a'));
  for (int i = 0; i < 100; ++i) shared.tensor_of("t" + std::to_string(i), {1 << 18}, buffer);
  EXPECT_THAT(lite_refusal(shared.bytes({}, {0})), HasSubstr("is one of many of the same data"));
}

// Tables of a file may share what they hold: a small file must not stand for gigabytes.
TEST(Lite, SharedListsAreBoundTogether) {
  using lite::schema::BuiltinOperator;
  EXPECT_THAT(lite_refusal(lite_of_shared_scales(300, 50'000)), HasSubstr("is one of many of the same data"));
  EXPECT_THAT(lite_refusal(lite_of_shared_inputs(300, 100'000)),
              HasSubstr("m.tflite: operator ADD_N: is one of many of the same data"));
  LiteWriter names;
  const auto name = names.tables().CreateString(std::string(1 << 20, 'n'));
  for (int i = 0; i < 100; ++i) names.tensor_of(name, {1}, lite::schema::TensorType::FLOAT32, 0);
  EXPECT_THAT(lite_refusal(names.bytes({0}, {0})), HasSubstr("is one of many of the same data"));
  LiteWriter graphs;  // one graph of 1001 operators, 100 times
  graphs.tensor("x", {1});
  graphs.tensor("y", {1});
  for (int i = 0; i < 1001; ++i) graphs.op(BuiltinOperator::RELU, {0}, {1});
  EXPECT_THAT(lite_refusal(graphs.bytes({0}, {1}, 100)), HasSubstr("holds more than 100000 operators"));
}

int64_t bytes_of_constants(const Graph& g) {
  int64_t bytes = 0;
  for (NodeId id : g.ids())
    if (const Tensor* t = g.constant(id)) bytes += static_cast<int64_t>(t->bytes());
  return bytes;
}

TEST(Lite, OperatorsOfOneFilterShareItsConstant) {
  constexpr int kOps = 40, kChannels = 64;
  const Graph g = parse_tflite(lite_of_shared_filter(kOps, kChannels), "m.tflite");
  int layers = 0;
  for (NodeId id : g.ids()) layers += g.node(id).op == "Conv2D";
  EXPECT_EQ(layers, kOps);
  EXPECT_LT(bytes_of_constants(g), 2 * kChannels * kChannels);
  const Tensor ones = Tensor::from<float>({1, 1, 1, kChannels}, std::vector<float>(kChannels, 1));
  const Tensor sums = Tensor::from<float>({1, 1, 1, kChannels}, std::vector<float>(kChannels, kChannels / 2.0f));
  EXPECT_EQ(difference(interpret(g, {{g.value("x"), ones}}, {g.value("y7")})[0], sums), "");
}

// Operators on constants become constants: 200 of 1 MB are refused, one after another, rather than made.
TEST(Lite, ConstantsMadeOfConstantsAreBoundTogether) {
  using lite::schema::BuiltinOperator;
  LiteWriter w;
  w.tensor("x", {1 << 18}, {}, std::string(1 << 20, '\1'));
  std::vector<int> outputs;
  for (int i = 0; i < 200; ++i) {
    outputs.push_back(w.tensor("y" + std::to_string(i), {1 << 18}));
    w.op(BuiltinOperator::NEG, {0}, {outputs.back()});
  }
  EXPECT_THAT(lite_refusal(w.bytes({}, outputs)), HasSubstr("makes constants that are together far larger than the file"));
}

TEST(Lite, AGraphThatStartsVariablesRunsOnce) {
  using lite::schema::BuiltinOperator;
  using lite::schema::TensorType;
  LiteWriter w;
  const auto handle = [&] {
    const int at = w.tensor_of(w.tables().CreateString("handle"), {}, TensorType::RESOURCE, 0);
    const LiteWriter::List none = w.list({}), out = w.list({at});
    w.op_of(BuiltinOperator::VAR_HANDLE, none, out, w.variable("v"));
    return at;
  };
  const int read = handle();
  for (int i = 0; i < 200; ++i) {
    const LiteWriter::List none = w.list({});
    w.op_of(BuiltinOperator::CALL_ONCE, none, none, w.call_once(1));
  }
  const int y = w.tensor("y", {1 << 18});
  w.op(BuiltinOperator::READ_VARIABLE, {read}, {y});
  w.end_graph({}, {y});
  const int start = handle();
  w.op(BuiltinOperator::ASSIGN_VARIABLE, {start, w.tensor("start", {1 << 18}, {}, std::string(1 << 20, '\1'))}, {});
  const Graph g = parse_tflite(w.bytes({}, {}), "m.tflite");
  EXPECT_EQ(bytes_of_constants(g), 1 << 20);
}

TEST(Lite, ZeroPointsAreStoredValues) {
  using lite::schema::TensorType;
  const auto with = [](TensorType type, const std::vector<int64_t>& zeros) {
    LiteWriter w;
    w.tensor("x", {2});
    w.tensor("y", {2});
    const std::string data(type == TensorType::INT16 ? 4 : type == TensorType::INT4 ? 1 : 2, '\1');
    w.tensor_of(w.tables().CreateString("w"), {2}, type, w.buffer(data), w.quant(std::vector<float>(zeros.size(), 0.5f), zeros));
    w.op(lite::schema::BuiltinOperator::ADD, {0, 2}, {1});
    return lite_refusal(w.bytes({0}, {1}));
  };
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min(), kMost = std::numeric_limits<int64_t>::max();
  EXPECT_THAT(with(TensorType::INT8, {kLeast}),
              HasSubstr("m.tflite: tensor w: has a zero point of -9223372036854775808, outside of its values -128 to 127"));
  for (const int64_t bad : {kLeast, kMost, int64_t{-129}, int64_t{128}}) {
    EXPECT_THAT(with(TensorType::INT8, {bad}), HasSubstr("has a zero point")) << bad;
    EXPECT_THAT(with(TensorType::INT8, {0, bad}), HasSubstr("has a zero point")) << bad;
    EXPECT_THAT(with(TensorType::INT4, {bad}), HasSubstr("has a zero point")) << bad;
  }
  EXPECT_THAT(with(TensorType::UINT8, {-1}), HasSubstr("outside of its values 0 to 255"));
  EXPECT_THAT(with(TensorType::INT16, {32768}), HasSubstr("outside of its values -32768 to 32767"));
  EXPECT_THAT(with(TensorType::INT4, {8}), HasSubstr("outside of its values -8 to 7"));
  for (const TensorType type : {TensorType::INT8, TensorType::UINT8, TensorType::INT16, TensorType::INT4})
    EXPECT_EQ(with(type, {7}), "");
  EXPECT_EQ(with(TensorType::INT8, {-128, 127}), "");
}

// Every byte of a small model replaced: an error or a graph, never a crash.
TEST(Lite, NoByteCrashesTheReader) {
  const std::string whole = read_file(lite_case("DEPTHWISE_CONV_2D_int8") / "model.tflite");
  for (size_t i = 0; i < whole.size(); ++i)
    for (const char v : {'\0', '\x7f', '\xff'}) {
      std::string bytes = whole;
      bytes[i] = v;
      try {
        parse_tflite(bytes, "m.tflite");
      } catch (const Error&) {
      }
    }
}

}  // namespace
}  // namespace cytodet::test
