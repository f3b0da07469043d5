// ONNX models: every operator on its case, small networks, names, and what is refused.
#include "graph/io/onnx/onnx.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "core/file.h"
#include "graph/io/node_name.h"
#include "graph/io/onnx/op_table.h"
#include "graph/io/onnx/read_model.h"
#include "graph/io/onnx/write/write_onnx.h"
#include "graph/io/read_network.h"
#include "graph/ir/endpoints.h"
#include "graph/layout/permuted.h"
#include "graph/passes/pass.h"
#include "graph/quantized/quant_nodes.h"
#include "tests/error_of.h"
#include "tests/graph/cases.h"
#include "tests/graph/onnx_writer.h"

namespace cytodet::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

fs::path onnx_case(const std::string& name) { return data("graph/onnx/" + name); }

class OnnxCase : public ::testing::TestWithParam<std::string> {};

TEST_P(OnnxCase, EqualsOnnx) {
  const Graph graph = read_graph(onnx_case(GetParam()) / "model.onnx");
  const Case c = read_case(onnx_case(GetParam()) / "case.json");
  Feeds feeds;
  for (const auto& [name, tensor] : c.inputs) feeds[graph.value(name)] = tensor;
  std::vector<Value> fetches;
  for (const auto& [name, wanted] : c.outputs) fetches.push_back(graph.value(name));
  ASSERT_FALSE(fetches.empty());
  const std::vector<Tensor> got = interpret(graph, feeds, fetches);
  size_t i = 0;
  for (const auto& [name, wanted] : c.outputs) EXPECT_EQ(difference(got[i++], wanted), "") << name;
}
std::string onnx_test_name(const ::testing::TestParamInfo<std::string>& info) { return info.param; }
INSTANTIATE_TEST_SUITE_P(Cases, OnnxCase, ::testing::ValuesIn(case_names(data("graph/onnx"))), onnx_test_name);

// Operators of a graph and of the graphs within it, as entries of the table.
void collect_entries(const onnx::OnnxGraph& graph, int64_t opset, std::set<const onnx::OnnxOp*>& found) {
  for (const onnx::OnnxNode& n : graph.nodes) {
    found.insert(onnx::find_onnx_op(n.domain.empty() ? n.op : n.domain + "." + n.op, n.domain.empty() ? opset : 1));
    for (const auto& [name, attr] : n.attrs)
      if (const auto* inner = std::get_if<std::shared_ptr<onnx::OnnxGraph>>(&attr)) collect_entries(**inner, opset, found);
  }
}

TEST(Onnx, EveryOperatorHasACase) {
  std::set<const onnx::OnnxOp*> found;
  for (const std::string& name : case_names(data("graph/onnx"))) {
    const onnx::OnnxModel model = onnx::parse_model(read_file(onnx_case(name) / "model.onnx"), name, onnx_case(name));
    collect_entries(model.graph, model.opsets.at(""), found);
  }
  std::vector<std::string> without;
  for (const onnx::OnnxOp& op : onnx::onnx_ops())
    if (!found.contains(&op)) without.push_back(op.name + (" of operator set " + std::to_string(op.since)));
  EXPECT_THAT(without, ::testing::IsEmpty()) << "run scripts/make_onnx_golden";
}

int transposes_in(const Graph& graph) {
  int count = 0;
  for (NodeId id : graph.ids()) count += graph.node(id).op == "Transpose";
  return count;
}

// The picture comes with its channels first, and is turned once. A detector's boxes and a transformer's heads are asked for in
// other orders than they are made in, and a layer reads rows.
TEST(Onnx, FewTransposesStay) {
  for (const auto& [name, most] :
       {std::pair{"resnet", 1}, {"squeezenet", 1}, {"mobilenet", 1}, {"vgg", 1}, {"quantized", 1}, {"yolo", 4}, {"attention", 7}})
    EXPECT_LE(transposes_in(read_graph(onnx_case(std::string("net_") + name) / "model.onnx")), most) << name;
}

TEST(Onnx, QuantizedLayersTakeTheFormThatRunsInEightBits) {
  for (const auto& [name, wanted] : {std::pair{"net_quantized", 4}, {"net_quantized_uint8", 4}, {"net_integer", 2}}) {
    const Graph graph = read_graph(onnx_case(name) / "model.onnx");
    int layers = 0;
    for (NodeId id : graph.ids()) {
      const std::string& op = graph.node(id).op;
      if (op != "Conv2D" && op != "DepthwiseConv2dNative" && op != "MatMul") continue;
      ++layers;
      EXPECT_TRUE(is_quantized(graph, id)) << name << ": " << node_text(graph.node(id));
    }
    EXPECT_EQ(layers, wanted) << name;
  }
}

TEST(Onnx, NamesOfTensorsBecomeNamesOfNodes) {
  for (const auto& [onnx_name, wanted] : {std::pair{"images", "images"},
                                          {"/model.0/conv/Conv_output_0", "model.0/conv/Conv_output_0"},
                                          {"onnx::Conv_12", "onnx__Conv_12"},
                                          {"input:0", "input"},
                                          {"x:1", "x_1"},
                                          {"_a", "t_a"},
                                          {"", "tensor"},
                                          {"\xc3\xa9", "t__"}})
    EXPECT_EQ(node_name(onnx_name), wanted);
  const std::string graph = onnx_input("a b", {2}) + onnx_input("a_b", {2}) + onnx_node("Add", {"a b", "a_b"}, {"s"}, {}, "y") +
                            onnx_node("Neg", {"s"}, {"y"}) + onnx_output("y") + onnx_output("s");
  const Graph g = parse_onnx(onnx_model(graph), "m", {});
  EXPECT_THAT(find_inputs(g), ::testing::ElementsAre("a_b", "a_b_1"));
  EXPECT_THAT(find_outputs(g), ::testing::UnorderedElementsAre("y", "s"));
  const auto got =
      interpret(g, {{g.value("a_b"), Tensor::from<float>({2}, {1, 2})}, {g.value("a_b_1"), Tensor::from<float>({2}, {3, 5})}},
                {g.value("y")});
  EXPECT_EQ(difference(got[0], Tensor::from<float>({2}, {-4, -7})), "");
}

// A list read along H, W, C where the model says C, H, W; and dimensions that do not lie side by side.
TEST(Onnx, ReshapesAreSeenThroughTransposes) {
  const Perm first = {0, 3, 1, 2};
  const auto split = move_reshape({1, 6, 4, 5}, {1, 2, 3, 4, 5}, first);
  ASSERT_TRUE(split);
  EXPECT_EQ(split->dims, (Shape{1, 4, 5, 2, 3}));
  EXPECT_EQ(split->perm, (Perm{0, 3, 4, 1, 2}));
  const auto joined = move_reshape({-1, 6, 4, 5}, {-1, 6, 20}, first);
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->dims, (Shape{-1, 20, 6}));
  EXPECT_TRUE(joined->first.empty());
  // Shuffled channels: [n, h, w, 2, 3], meant as [n, 3, 2, h, w], becomes [n, h, w, 3, 2], then [n, h, w, 6].
  const auto shuffled = move_reshape({1, 3, 2, 4, 5}, {1, 6, 4, 5}, {0, 4, 3, 1, 2});
  ASSERT_TRUE(shuffled);
  EXPECT_EQ(shuffled->first, (Perm{0, 1, 2, 4, 3}));
  EXPECT_EQ(shuffled->dims, (Shape{1, 4, 5, 6}));
  EXPECT_EQ(shuffled->perm, first);
  EXPECT_FALSE(move_reshape({1, 6, 4, 5}, {1, 7, 20}, first));
}

// A network that looks at images takes them as all others do, and turns nothing.
TEST(Onnx, ANetworksImagesHaveTheirChannelsLast) {
  const auto folder = onnx_case("net_resnet");
  const Graph graph = read_network(folder / "model.onnx");
  EXPECT_EQ(graph.node(graph.require("images")).attr<ShapeAttr>("shape").dims, (Shape{-1, 32, 32, 3}));
  EXPECT_EQ(transposes_in(graph), 0);
  const Case c = read_case(folder / "case.json");
  const Tensor& image = c.inputs.at("images");
  Tensor turned(DType::f32, {1, 32, 32, 3});
  for (int64_t p = 0; p < 32 * 32; ++p)
    for (int64_t k = 0; k < 3; ++k) turned.data<float>()[3 * p + k] = image.data<float>()[k * 32 * 32 + p];
  const auto got = interpret(graph, {{graph.value("images"), turned}}, {graph.value("logits")});
  EXPECT_EQ(difference(got[0], c.outputs.at("logits")), "");
}

std::string refusal(const std::string& model) {
  return error_of([&] { parse_onnx(model, "m.onnx", "."); });
}

// The order of outputs is the model's, also where layers lie otherwise, an output is read by another, and through passes.
TEST(Onnx, OutputsAreInTheirOrder) {
  const Graph graph = parse_onnx(onnx_model(onnx_input("x", {1, 4}) + onnx_node("Relu", {"x"}, {"a_second"}) +
                                            onnx_node("Neg", {"a_second"}, {"b_first"}) + onnx_node("Exp", {"x"}, {"c_third"}) +
                                            onnx_output("c_third") + onnx_output("b_first") + onnx_output("a_second")),
                                 "m.onnx", ".");
  const std::vector<std::string> wanted = {"c_third", "b_first", "a_second"};
  EXPECT_EQ(find_outputs(graph), wanted);
  Graph optimized = graph;
  run_passes(optimized, {});
  EXPECT_EQ(find_outputs(optimized), wanted);
  EXPECT_EQ(find_outputs(parse_onnx(encode_onnx(optimized, wanted), "o.onnx", ".")), wanted);
}

TEST(Onnx, ResultsOfAbsurdSizesAreRefusedAtOnce) {
  const std::string scales = onnx_tensor("s", {4}, 1, onnx_floats({1, 1, 1e6f, 1e6f}));
  for (const char* mode : {"nearest", "linear", "cubic"})
    EXPECT_EQ(
        refusal(onnx_model(onnx_input("x", {1, 1, 8, 8}) + scales +
                           onnx_node("Resize", {"x", "", "s"}, {"y"}, onnx_text_attr("mode", mode), "r") + onnx_output("y"))),
        "m.onnx: node r (Resize): gives more than the 8192 MiB of a tensor; use smaller scales or sizes");
}

// What functions of a model's own are is in the case own_Identity_function.
TEST(Onnx, FunctionsThatCannotBeAreRefused) {
  const auto model = [](const std::string& nodes, int64_t opset = 17) {
    const std::string f = onnx_bytes(1, "F") + onnx_bytes(4, "a") + onnx_bytes(5, "b") + nodes +
                          onnx_bytes(9, onnx_number(2, opset)) + onnx_bytes(10, "own");
    const std::string graph = onnx_input("x", {4}) + onnx_node("F", {"x"}, {"y"}, onnx_bytes(7, "own"), "call") +
                              onnx_node("F", {"x"}, {"z"}, onnx_bytes(7, "own"), "call") + onnx_output("y") + onnx_output("z");
    return onnx_model(graph) + onnx_bytes(25, f);
  };
  const auto within = [](const std::string& node) { return onnx_bytes(7, node.substr(2)); };  // as nodes of a function are
  const std::string neg = within(onnx_node("Neg", {"a"}, {"b"}));
  EXPECT_EQ(find_outputs(parse_onnx(model(neg), "m.onnx", ".")), (std::vector<std::string>{"y", "z"})) << "calls of one name";
  EXPECT_THAT(refusal(model(neg, 16)), HasSubstr("m.onnx: function own.F: is of operator set 16, the model of 17; inline it"));
  EXPECT_THAT(refusal(model(within(onnx_node("F", {"a"}, {"b"}, onnx_bytes(7, "own"))))),
              HasSubstr("function own.F: is called 32 functions deep, perhaps by itself"));
  EXPECT_THAT(refusal(model(within(onnx_node("F", {"a"}, {"c"}, onnx_bytes(7, "own"))) +
                            within(onnx_node("F", {"c"}, {"b"}, onnx_bytes(7, "own"))))),
              HasSubstr("deep"));
  EXPECT_THAT(refusal(model(within(onnx_node("Neg", {"a"}, {"c"})))), HasSubstr("is made by no node"));
}

// A function of the domain "own" from a to b of a model; and a call of it.
std::string onnx_function(const std::string& name, const std::vector<std::string>& nodes, const std::string& overload = {}) {
  std::string f = onnx_bytes(1, name) + onnx_bytes(4, "a") + onnx_bytes(5, "b");
  for (const std::string& node : nodes) f += onnx_bytes(7, node.substr(2));
  return onnx_bytes(
      25, f + onnx_bytes(9, onnx_number(2, 17)) + onnx_bytes(10, "own") + (overload.empty() ? "" : onnx_bytes(13, overload)));
}
std::string onnx_call(const std::string& name, const std::string& from, const std::string& to, const std::string& overload = {}) {
  return onnx_node("F", {from}, {to}, onnx_bytes(7, "own") + (overload.empty() ? "" : onnx_bytes(8, overload)), name);
}
// What the model's y is where its x is -3.
float y_of(const std::string& model) {
  const Graph graph = parse_onnx(model, "m.onnx", ".");
  return interpret(graph, {{graph.value("x"), Tensor::from({1}, std::vector<float>{-3})}}, {graph.value("y")})[0]
      .data<float>()[0];
}

TEST(Onnx, OverloadsOfAFunctionAreDistinguished) {
  const std::string neg = onnx_node("Neg", {"a"}, {"b"}), abs = onnx_node("Abs", {"a"}, {"b"}),
                    square = onnx_node("Mul", {"a", "a"}, {"b"});
  const auto model = [&](const std::string& overload) {
    return onnx_model(onnx_input("x", {1}) + onnx_call("c", "x", "y", overload) + onnx_output("y")) +
           onnx_function("F", {abs}, "one") + onnx_function("F", {square}, "two");
  };
  EXPECT_EQ(y_of(model("one")), 3);
  EXPECT_EQ(y_of(model("two")), 9);
  EXPECT_THAT(refusal(model("two") + onnx_function("F", {neg}, "two")),
              HasSubstr("m.onnx: function own.F: is there twice; the model is damaged"));
}

TEST(Onnx, NamesWithinFunctionsAreOfTheirOwn) {
  const std::string f = onnx_function("F", {onnx_node("Neg", {"a"}, {"t"}), onnx_node("Abs", {"t"}, {"b"})});
  const auto model = [&](const std::string& nodes) { return onnx_model(onnx_input("x", {1}) + nodes + onnx_output("y")) + f; };
  EXPECT_EQ(y_of(model(onnx_node("Add", {"x", "x"}, {"c/t"}) + onnx_call("c", "x", "q") + onnx_node("Add", {"q", "c/t"}, {"y"}))),
            -3)
      << "a tensor of the model has the name";
  for (const char* third : {"c_1", "c_2", "c_3", "c_4", "c_5", "c_6"})
    EXPECT_EQ(y_of(model(onnx_call("c", "x", "q") + onnx_call("c", "q", "r") + onnx_call(third, "r", "y"))), 3) << third;
}

TEST(Onnx, WhatIsNotReadIsNamed) {
  const std::string x = onnx_input("x", {1, 3, 8, 8}), y = onnx_output("y");
  const auto one = [&](const std::string& op, const std::string& attributes = {}) {
    return onnx_model(x + onnx_node(op, {"x"}, {"y"}, attributes, "head") + y);
  };
  EXPECT_THAT(refusal(one("Bernoulli")), HasSubstr("m.onnx: node head (Bernoulli): operator set 17: Bernoulli is not read"));
  EXPECT_EQ(
      refusal(onnx_model(x + onnx_node("Multinomial", {"x"}, {"a"}) + onnx_node("Bernoulli", {"a"}, {"y"}, {}, "g") + y)),
      "m.onnx: operators are not read, of operator set 17 or other domains: Bernoulli (node g), Multinomial (node of output a); "
      "export the model without; cytodet compile-report counts them");
  EXPECT_EQ(refusal(onnx_model(x + onnx_node("Foo", {"x"}, {"y"}, onnx_bytes(7, "com.x"), "head") + y)),
            "m.onnx: node head (com.x.Foo): com.x.Foo is not read; export the model without");
  EXPECT_THAT(refusal(one("Gelu")), HasSubstr("Gelu is not read"));  // of operator set 20
  EXPECT_THAT(refusal(onnx_model(x + onnx_node("Relu", {"x"}, {"y"}) + y, 6)),
              HasSubstr("is of operator set 6; sets 7 to 21 are read"));
  EXPECT_THAT(refusal(onnx_model(x + onnx_node("Relu", {"z"}, {"y"}) + y)),
              HasSubstr("node of output y (Relu): reads tensor z, which no node before it makes"));
  EXPECT_THAT(refusal(onnx_model(x + onnx_node("Relu", {"y"}, {"y"}) + y)), HasSubstr("reads tensor y"));
  EXPECT_THAT(refusal(onnx_model(x + onnx_node("Relu", {"x"}, {"y"}) + onnx_node("Neg", {"x"}, {"y"}) + y)),
              HasSubstr("which another node makes too"));
  EXPECT_THAT(refusal(onnx_model(x + onnx_node("Relu", {"x"}, {"z"}) + y)), HasSubstr("output y: is made by no node"));
  EXPECT_THAT(refusal(onnx_model(x + onnx_node("Relu", {"x"}, {"y"}))), HasSubstr("has no outputs"));
  EXPECT_THAT(refusal(one("MaxPool", onnx_ints("kernel_shape", {3}))),
              HasSubstr("node head (MaxPool): has a window of 1 dimensions over a map of 2"));
  EXPECT_THAT(refusal(one("MaxPool", onnx_ints("kernel_shape", {9, 9}))), HasSubstr("has a window larger than its map"));
  EXPECT_THAT(refusal(onnx_model(onnx_input("x", {2}, 17) + onnx_node("Relu", {"x"}, {"y"}) + y)),
              HasSubstr("input x: is of type float8e4m3fn"));
  EXPECT_THAT(refusal("\x08\x07 damaged"), HasSubstr("m.onnx"));
  EXPECT_THAT(refusal(onnx_model(x + onnx_tensor("w", {int64_t{1} << 40, int64_t{1} << 40}, 1, onnx_bytes(9, "abcd")) + y)),
              HasSubstr("tensor w"));
  EXPECT_THAT(refusal(onnx_model(x + onnx_tensor("w", {3}, 1, onnx_bytes(9, "abcd")) + y)),
              HasSubstr("tensor w: of shape [3] and type float32 holds 4 bytes"));
}

TEST(Onnx, ExternalDataLiesInTheModelsFolder) {
  const fs::path folder = fs::temp_directory_path() / ("onnx_external_" + std::to_string(::getpid()));
  fs::create_directories(folder / "model/more");
  const float values[] = {1, 2, 3, 4};
  const std::string bytes(reinterpret_cast<const char*>(values), sizeof values);
  for (const char* name : {"model/w.bin", "model/more/w.bin", "w.bin"}) std::ofstream(folder / name, std::ios::binary) << bytes;
  fs::create_symlink(folder / "w.bin", folder / "model/link.bin");
  const auto write = [&](const std::string& external) {
    std::ofstream(folder / "model/m.onnx", std::ios::binary) << onnx_model(
        onnx_input("x", {2}) + onnx_tensor("w", {2}, 1, external) + onnx_node("Add", {"x", "w"}, {"y"}) + onnx_output("y"));
    return folder / "model/m.onnx";
  };
  for (const char* location : {"w.bin", "more/w.bin", "./more/../w.bin"}) {
    const Graph g = read_graph(write(onnx_external(location, "4", "8")));
    const auto got = interpret(g, {{g.value("x"), Tensor::from<float>({2}, {10, 20})}}, {g.value("y")});
    EXPECT_EQ(difference(got[0], Tensor::from<float>({2}, {12, 23})), "") << location;
  }
  EXPECT_EQ(files_of_graph(write(onnx_external("w.bin", "4", "8"))).size(), 2u);
  const auto problem = [&](const std::string& external) { return error_of([&] { read_graph(write(external)); }); };
  EXPECT_THAT(problem(onnx_external("../w.bin", "0", "8")),
              HasSubstr("tensor w: external data lies in \"../w.bin\", outside the model's folder"));
  EXPECT_THAT(problem(onnx_external("link.bin", "0", "8")), HasSubstr("outside the model's folder"));
  EXPECT_THAT(problem(onnx_external((folder / "w.bin").string(), "0", "8")),
              HasSubstr("only files below the model's own folder"));
  EXPECT_THAT(problem(onnx_external("none.bin", "0", "8")), HasSubstr("none.bin"));
  EXPECT_THAT(problem(onnx_external("w.bin", "12", "8")), HasSubstr("of \"w.bin\", which has 16"));
  EXPECT_THAT(problem(onnx_external("w.bin", "-4", "8")), HasSubstr("offset \"-4\""));
  EXPECT_THAT(problem(onnx_external("w.bin", "0", "12")), HasSubstr("holds 12 bytes"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace cytodet::test
