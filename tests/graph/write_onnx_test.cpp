// Graphs written as ONNX and read again answer as before: the golden cases of all ops that are written, and small networks.
#include "graph/io/onnx/write/write_onnx.h"

#include <gmock/gmock.h>

#include <set>

#include "graph/io/builder.h"
#include "graph/io/onnx/onnx.h"
#include "graph/io/onnx/write/emit.h"
#include "graph/io/onnx/write/lower.h"
#include "graph/ir/endpoints.h"
#include "graph/map_transposes.h"
#include "graph/passes/pass.h"
#include "graph/quantized/quant_nodes.h"
#include "tests/error_of.h"
#include "tests/graph/cases.h"
#include "tests/graph/fixtures.h"
#include "tests/uniform_tensor.h"

namespace cytodet::test {
namespace {

// The graph of a case with the shapes of its feeds, and its outputs by name. `fixed`: whole numbers, as axes, are constants.
struct WrittenCase {
  GraphCase c;
  std::vector<std::string> outputs;
};
WrittenCase fed_case(const std::filesystem::path& folder, bool fixed = false) {
  WrittenCase w{read_graph_case(folder), {}};
  for (const auto& [name, tensor] : w.c.values.inputs) {
    Node& n = w.c.graph.node(w.c.graph.value(name).node);
    if (n.op != "Placeholder") continue;
    n.attrs.insert_or_assign("shape", ShapeAttr{true, tensor.shape()});
    if (!fixed || !is_integer(tensor.dtype())) continue;
    n.op = "Const";
    n.attrs = {{"dtype", tensor.dtype()}, {"value", tensor}};
  }
  // TensorFlow's order of elements that are not sorted is its own.
  std::erase_if(w.c.values.outputs, [&](const auto& output) {
    const Node& n = w.c.graph.node(w.c.graph.value(output.first).node);
    return n.op == "TopKV2" && !n.attr_or("sorted", true);
  });
  for (const auto& [name, tensor] : w.c.values.outputs) w.outputs.push_back(name);
  return w;
}

std::vector<Tensor> answers(const Graph& graph, const NamedTensors& inputs, const std::vector<std::string>& outputs) {
  Feeds feeds;
  for (const auto& [name, tensor] : inputs)
    if (graph.find(name.substr(0, name.find(':'))) >= 0) feeds[graph.value(name)] = tensor;
  std::vector<Value> fetches;
  for (std::string name : outputs) {
    std::replace(name.begin(), name.end(), ':', '_');
    fetches.push_back(graph.value(name));
  }
  return interpret(graph, feeds, fetches);
}

// Each output alone, for some forms of an op may not be written. Adds the ops that were.
void check_written(const std::string& name, const WrittenCase& w, std::set<std::string>& written) {
  for (const auto& [output, wanted] : w.c.values.outputs) {
    std::string bytes;
    if (!error_of([&] { bytes = encode_onnx(w.c.graph, {output}); }).empty()) continue;
    EXPECT_EQ(difference(answers(parse_onnx(bytes, name, {}), w.c.values.inputs, {output})[0], wanted), "")
        << name << " " << output;
    for (NodeId id : onnx::needed_nodes(w.c.graph, {output})) written.insert(w.c.graph.node(id).op);
  }
}

TEST(WriteOnnx, EveryOpThatIsWrittenAnswersAsItsCase) {
  std::set<std::string> written{"Dequantize"};  // of weights: in WrittenNetwork
  for (const std::string& name : case_names(data("graph/ops"))) {
    const WrittenCase w = fed_case(data("graph/ops/" + name));
    check_written(name, w, written);
    const auto is_whole = [](const auto& input) { return is_integer(input.second.dtype()); };
    if (std::any_of(w.c.values.inputs.begin(), w.c.values.inputs.end(), is_whole))
      check_written(name, fed_case(data("graph/ops/" + name), true), written);
  }
  for (const auto* entries : {&onnx::emit_math_entries(), &onnx::emit_shape_entries()})
    for (const onnx::EmitEntry& entry : *entries)
      EXPECT_TRUE(is_onnx_op(entry.op) || written.contains(entry.op)) << entry.op << " has no case";
}

class WrittenNetwork : public ::testing::TestWithParam<std::string> {};

TEST_P(WrittenNetwork, AnswersAsBefore) {
  const auto folder = data("graph/onnx/" + GetParam());
  const Case c = read_case(folder / "case.json");
  InputSizes sizes;
  for (const auto& [name, tensor] : c.inputs) sizes[name] = tensor.shape();
  Graph graph = read_graph(folder / "model.onnx", sizes);
  const std::vector<std::string> outputs = find_outputs(graph);
  const size_t turned = map_transposes(graph).size();
  PassOptions passes;
  passes.interface.outputs = outputs;
  run_passes(graph, passes);
  const Graph again = parse_onnx(encode_onnx(graph, outputs), "again", {});
  EXPECT_LE(map_transposes(again).size(), turned);
  const std::vector<Tensor> got = answers(again, c.inputs, outputs), wanted = answers(graph, c.inputs, outputs);
  for (size_t i = 0; i < outputs.size(); ++i) EXPECT_EQ(difference(got[i], wanted[i]), "") << outputs[i];
  EXPECT_EQ(has_quantized(again), has_quantized(graph));
}
std::vector<std::string> network_names() {
  std::vector<std::string> names;
  for (const std::string& name : case_names(data("graph/onnx")))
    if (name.starts_with("net_") && name != "net_two_stages") names.push_back(name);  // its conditions are not written
  return names;
}
std::string network_name(const ::testing::TestParamInfo<std::string>& info) { return info.param; }
INSTANTIATE_TEST_SUITE_P(Networks, WrittenNetwork, ::testing::ValuesIn(network_names()), network_name);

// Of BlockLSTM ONNX has the states h, without clipping; wci is that of i.
TEST(WriteOnnx, PeepholesAndForgetBiases) {
  using namespace test;
  for (const char* op : {"BlockLSTM", "BlockLSTMV2"}) {
    Graph g;
    placeholder(g, "x", {5, 2, 3});
    const auto numbers = [&](const std::string& name, const Shape& shape) {
      constant(g, name, uniform_tensor(shape, static_cast<unsigned>(name.size() + name.back())));
    };
    constant(g, "length", Tensor::scalar(int64_t{5}));
    for (const char* state : {"cs", "h"}) numbers(state, {2, 4});
    numbers("w", {7, 16});
    for (const char* peephole : {"wci", "wcf", "wco"}) numbers(peephole, {4});
    numbers("b", {16});
    AttrMap attrs;
    attrs.emplace("use_peephole", true);
    attrs.emplace("cell_clip", -1.0f);
    add(g, "lstm", op, {"length", "x", "cs", "h", "w", "wci", "wcf", "wco", "b"}, attrs);
    add(g, "y", "Identity", {"lstm:6"});
    const NamedTensors x{{"x", uniform_tensor({5, 2, 3}, 1)}};
    const Graph again = parse_onnx(encode_onnx(g, {"y"}), "again", {});
    EXPECT_EQ(difference(answers(again, x, {"y"})[0], answers(g, x, {"y"})[0]), "") << op;
    add(g, "cells", "Identity", {"lstm:1"});
    EXPECT_THAT(error_of([&] { encode_onnx(g, {"y", "cells"}); }), ::testing::HasSubstr("gives more than its states h"));
  }
}

TEST(WriteOnnx, WhatIsNotWrittenIsNamed) {
  const WrittenCase w = fed_case(data("graph/ops/Cholesky"));
  EXPECT_THAT(error_of([&] { encode_onnx(w.c.graph, w.outputs); }),
              ::testing::HasSubstr("these ops are not written as ONNX: Cholesky (node "));
  const Graph conditions = read_graph(data("graph/onnx/net_two_stages/model.onnx"), InputSizes{});
  EXPECT_THAT(error_of([&] { encode_onnx(conditions, {"best"}); }), ::testing::HasSubstr("Merge (node best)"));
}

}  // namespace
}  // namespace cytodet::test
