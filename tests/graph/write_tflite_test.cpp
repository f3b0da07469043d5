// Graphs written as TensorFlow Lite and read again answer as before: the golden cases of all ops that are written, networks in
// every mode.
#include "graph/io/tflite/write/write_tflite.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "graph/io/node_name.h"
#include "graph/io/tflite/tflite.h"
#include "graph/io/tflite/write/emit.h"
#include "graph/ir/endpoints.h"
#include "graph/passes/pass.h"
#include "graph/quantized/quant_nodes.h"
#include "tests/error_of.h"
#include "tests/graph/cases.h"

namespace cytodet::test {
namespace {

bool is_filter(const Graph& graph, const Consumers& uses, Value v) {
  static const std::set<std::string> kLayers = {"Conv2D", "Conv2DBackpropInput", "DepthwiseConv2dNative", "MatMul"};
  for (const Consumers::Use& use : uses.of(v))
    if (use.input == 1 && kLayers.contains(graph.node(use.node).op)) return true;
  return false;
}

// The graph of a case with the shapes of its feeds. `fixed`: whole numbers, as axes, and filters are constants.
GraphCase lite_fed_case(const std::filesystem::path& folder, bool fixed) {
  GraphCase c = read_graph_case(folder);
  const Consumers uses(c.graph);
  for (const auto& [name, tensor] : c.values.inputs) {
    Node& n = c.graph.node(c.graph.value(name).node);
    if (n.op != "Placeholder") continue;
    n.attrs.insert_or_assign("shape", ShapeAttr{true, tensor.shape()});
    if (!fixed || (!is_integer(tensor.dtype()) && !is_filter(c.graph, uses, c.graph.value(name)))) continue;
    n.op = "Const";
    n.attrs = {{"dtype", tensor.dtype()}, {"value", tensor}};
  }
  // TensorFlow's order of elements that are not sorted is its own.
  std::erase_if(c.values.outputs, [&](const auto& output) {
    const Node& n = c.graph.node(c.graph.value(output.first).node);
    return n.op == "TopKV2" && !n.attr_or("sorted", true);
  });
  return c;
}

std::vector<Tensor> lite_answers(const Graph& graph, const NamedTensors& inputs, const std::vector<std::string>& outputs) {
  Feeds feeds;
  for (const auto& [name, tensor] : inputs)
    if (graph.find(name.substr(0, name.find(':'))) >= 0) feeds[graph.value(name)] = tensor;
  std::vector<Value> fetches;
  for (const std::string& name : outputs) fetches.push_back(graph.value(node_name(name)));
  return interpret(graph, feeds, fetches);
}

// Each output alone, for some forms of an op may not be written. Adds the ops that were.
void check_lite_written(const std::string& name, const GraphCase& c, std::set<std::string>& written) {
  for (const auto& [output, wanted] : c.values.outputs) {
    std::string bytes;
    Graph needed = c.graph;
    needed.sweep({needed.value(output).node});
    if (!error_of([&] { bytes = encode_tflite(needed, {output}); }).empty()) continue;
    std::vector<Tensor> got;
    const std::string problem = error_of([&] { got = lite_answers(parse_tflite(bytes, name), c.values.inputs, {output}); });
    EXPECT_EQ(problem.empty() ? difference(got[0], wanted) : problem, "") << name << " " << output;
    for (NodeId id : needed.ids()) written.insert(needed.node(id).op);
  }
}

TEST(WriteLite, EveryOpThatIsWrittenAnswersAsItsCase) {
  std::set<std::string> written{"Dequantize", "QuantizeV2"};  // in AnIntegerModelStaysOne
  for (const std::string& name : case_names(data("graph/ops")))
    for (bool fixed : {false, true}) check_lite_written(name, lite_fed_case(data("graph/ops/" + name), fixed), written);
  for (const auto* entries :
       {&lite::lite_emit_layer_entries(), &lite::lite_emit_math_entries(), &lite::lite_emit_shape_entries()})
    for (const lite::LiteEmitEntry& entry : *entries) EXPECT_TRUE(written.contains(entry.op)) << entry.op << " has no case";
}

struct LiteNetwork {
  Graph graph;
  Case values;
  std::vector<std::string> outputs;
};
LiteNetwork lite_network(const std::string& name = "net_float") {
  LiteNetwork n{
      read_graph(data("graph/tflite/" + name) / "model.tflite"), read_case(data("graph/tflite/" + name) / "case.json"), {}};
  n.outputs = find_outputs(n.graph);
  PassOptions passes;
  passes.interface.outputs = n.outputs;
  run_passes(n.graph, passes);
  return n;
}

// Extremes of every float on the case, a little wider.
std::map<std::string, std::pair<float, float>> ranges_of(const LiteNetwork& n) {
  std::map<std::string, std::pair<float, float>> ranges;
  const Facts facts(n.graph);
  std::vector<std::string> names;
  for (NodeId id : n.graph.ids())
    if (facts.of({id, 0}).dtype == DType::f32 && !n.graph.constant(id)) names.push_back(n.graph.node(id).name);
  const std::vector<Tensor> values = lite_answers(n.graph, n.values.inputs, names);
  for (size_t i = 0; i < names.size(); ++i) {
    const auto v = values[i].span<float>();
    const auto [low, high] = std::minmax_element(v.begin(), v.end());
    ranges[names[i]] = {*low * 1.01f, *high * 1.01f};
  }
  return ranges;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  double largest = 0;
  for (int64_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a.as_double(i) - b.as_double(i)));
  return largest;
}

TEST(WriteLite, ANetworkAnswersAsBeforeInEveryMode) {
  const LiteNetwork n = lite_network();
  const Tensor wanted = lite_answers(n.graph, n.values.inputs, n.outputs)[0];
  const size_t whole = encode_tflite(n.graph, n.outputs).size();
  for (const auto& [mode, tolerance, size] : {std::tuple{LiteMode::as_is, 1e-5, 1.0},
                                              {LiteMode::float16, 2e-3, 0.7},
                                              {LiteMode::weights, 0.02, 0.55},
                                              {LiteMode::int8, 0.04, 0.55}}) {
    LiteOptions options;
    options.mode = mode;
    if (mode == LiteMode::int8) options.ranges = ranges_of(n);
    const std::string bytes = encode_tflite(n.graph, n.outputs, options);
    const Graph again = parse_tflite(bytes, "again");
    EXPECT_LE(largest_difference(lite_answers(again, n.values.inputs, n.outputs)[0], wanted), tolerance)
        << static_cast<int>(mode);
    EXPECT_LE(static_cast<double>(bytes.size()), size * static_cast<double>(whole)) << static_cast<int>(mode);
    EXPECT_EQ(has_quantized(again), mode == LiteMode::int8);
  }
}

TEST(WriteLite, FullIntegerModelsTakeAndGiveStoredValues) {
  const LiteNetwork n = lite_network();
  const Tensor wanted = lite_answers(n.graph, n.values.inputs, n.outputs)[0];
  for (const auto& [mode, type] : {std::pair{LiteMode::full_uint8, DType::u8}, {LiteMode::full_int8, DType::i8}}) {
    LiteOptions options;
    options.mode = mode;
    options.ranges = ranges_of(n);
    const std::string input = find_inputs(n.graph).at(0);
    options.ranges[input] = {0, 1};
    const Graph again = parse_tflite(encode_tflite(n.graph, n.outputs, options), "again");
    const Tensor& image = n.values.inputs.begin()->second;
    Tensor stored(type, image.shape());
    for (int64_t i = 0; i < image.size(); ++i) {
      const int v = static_cast<int>(std::lround(image.data<float>()[i] * 255));
      if (type == DType::u8)
        stored.data<uint8_t>()[i] = static_cast<uint8_t>(v);
      else
        stored.data<int8_t>()[i] = static_cast<int8_t>(v - 128);
    }
    const Tensor got = lite_answers(again, {{input, stored}}, n.outputs)[0];
    ASSERT_EQ(got.dtype(), type);
    for (int64_t i = 0; i < got.size(); ++i) {
      const double share = (static_cast<double>(got.as_int(i)) + (type == DType::i8 ? 128 : 0)) / 256;  // of a softmax
      EXPECT_NEAR(share, wanted.as_double(i), 0.04);
    }
  }
}

// What is read of an integer model is written as one, with the grids that it has.
TEST(WriteLite, AnIntegerModelStaysOne) {
  for (const char* name :
       {"net_integer", "CONV_2D_int8", "DEPTHWISE_CONV_2D_int8", "CONCATENATION_int8", "RESIZE_BILINEAR_int8"}) {
    const LiteNetwork n = lite_network(name);
    const Graph again = parse_tflite(encode_tflite(n.graph, n.outputs), "again");
    EXPECT_EQ(has_quantized(again), has_quantized(n.graph)) << name;
    const double step = n.values.outputs.begin()->second.dtype() == DType::f32 ? 1.0 / 256 : 1;
    EXPECT_LE(largest_difference(lite_answers(again, n.values.inputs, n.outputs)[0],
                                 lite_answers(n.graph, n.values.inputs, n.outputs)[0]),
              step)
        << name;
  }
}

TEST(WriteLite, WhatIsNotWrittenIsNamed) {
  const GraphCase c = lite_fed_case(data("graph/ops/Cholesky"), false);
  EXPECT_THAT(error_of([&] { encode_tflite(c.graph, {c.values.outputs.begin()->first}); }),
              ::testing::HasSubstr("these ops are not written as TensorFlow Lite: Cholesky (node "));
  Graph open;
  const Value x = open.add_new("x", "Placeholder", {}, {{"dtype", DType::f32}, {"shape", ShapeAttr{true, {-1, -1, 3}}}});
  open.add_new("y", "Relu", {x}, {{"T", DType::f32}});
  EXPECT_THAT(error_of([&] { encode_tflite(open, {"y"}); }), ::testing::HasSubstr("TensorFlow Lite wants fixed sizes"));
}

}  // namespace
}  // namespace cytodet::test
