#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "core/error.h"
#include "core/file.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/endpoints.h"
#include "graph/passes/pass.h"
#include "tests/error_of.h"
#include "tests/graph/fixtures.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::HasSubstr;

const std::string kData = cytodet::source_dir() + "/tests/data/graph/";

std::string error_of(std::string_view bytes) {
  return cytodet::error_of([&] { parse_graph(bytes, "g.pb"); });
}

TEST(GraphIo, EveryConformanceGraphSurvivesBinaryAndText) {
  int graphs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kData + "conformance")) {
    Graph g = read_graph(entry.path() / "graph.pb");
    std::string once = encode_graph(g);
    EXPECT_EQ(encode_graph(parse_graph(once, "again")), once) << entry.path();
    EXPECT_EQ(encode_graph(parse_graph(encode_graph_text(g), "text")), once) << entry.path();
    ++graphs;
  }
  EXPECT_EQ(graphs, 238);
}

TEST(GraphIo, AnUntouchedAttributeKeepsItsBytes) {
  // A constant written with float_val, a list of functions and a placeholder: forms that our own encoder would write otherwise.
  std::string text = R"(
    node { name: "c" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
           attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 3 } } float_val: 2.5 } } } }
    node { name: "u" op: "NobodyKnows" input: "c" input: "^c" device: "/cpu:0"
           attr { key: "fs" value { list { func { name: "f" } } } } attr { key: "p" value { placeholder: "T" } }
           attr { key: "s" value { list { s: "loc:@c" } } } experimental_debug_info { original_node_names: "o" } }
    versions { producer: 27 min_consumer: 12 }
    library { function { signature { name: "f" input_arg { name: "x" type: DT_FLOAT } } } })";
  Graph g = parse_graph(text, "t.pbtxt");
  std::string out = encode_graph_text(g);
  for (const char* kept : {"float_val: 2.5", "original_node_names: \"o\"", "placeholder: \"T\"", "producer: 27",
                           "min_consumer: 12", "input: \"^c\"", "device: \"/cpu:0\"", "op: \"NobodyKnows\"", "name: \"f\""})
    EXPECT_THAT(out, HasSubstr(kept));
  const Tensor* t = g.constant(g.find("c"));
  ASSERT_TRUE(t);
  EXPECT_EQ(t->data<float>()[2], 2.5f) << "the last value repeats";
}

TEST(GraphIo, OneLinePerProblem) {
  EXPECT_THAT(error_of(""), HasSubstr("g.pb: is empty"));
  EXPECT_THAT(error_of(std::string("\xff\xfe\xfd garbage \x01\0", 14)), HasSubstr("is not a GraphDef"));
  EXPECT_THAT(error_of("node { nam: \"x\" }"), HasSubstr("line 1"));
  EXPECT_THAT(error_of(R"(node { name: "a" op: "Relu" input: "bb" } node { name: "b" op: "NoOp" })"),
              HasSubstr("node a (Relu): invalid input \"bb\""));
  EXPECT_THAT(error_of(R"(node { name: "a" op: "NoOp" } node { name: "a" op: "NoOp" })"), HasSubstr("used twice"));
  EXPECT_THAT(
      error_of(
          R"(node { name: "a" op: "Const" attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 1000000000000 } } float_val: 1 } } } })"),
      HasSubstr("over the limit"));
  EXPECT_THAT(
      error_of(
          R"(node { name: "a" op: "Const" attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 3 } } tensor_content: "1234" } } } })"),
      HasSubstr("node a (Const): attribute value: constant of shape [3]"));
}

TEST(GraphIo, CycleIsNamed) {
  Graph g = parse_graph(R"(node { name: "a" op: "Relu" input: "b" } node { name: "b" op: "Relu" input: "a" })", "g");
  EXPECT_THROW(g.topological_order(), Error);
  EXPECT_THROW(interpret(g, {}, {g.value("b")}), Error);
}

TEST(GraphIo, DamagedBytesNeverCrash) {
  std::string whole = read_file(kData + "lenet_frozen.pb");
  std::mt19937 random(7);
  int errors = 0;
  for (int i = 0; i < 400; ++i) {
    std::string bytes = whole;
    if (i % 2)
      bytes.resize(random() % bytes.size());
    else
      for (int k = 0; k < 20; ++k) bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    try {
      Graph g = parse_graph(bytes, "damaged");
      g.topological_order();
      Facts facts(g);
      encode_graph(g);
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 100);
}

TEST(Graph, SweepReplaceRename) {
  Graph g = fixture();
  constant(g, "stray", Tensor::scalar(1.0f));
  EXPECT_EQ(g.sweep({g.find("conv")}), 1);
  g.rename(g.find("conv"), "renamed");
  EXPECT_EQ(g.find("conv"), -1);
  EXPECT_EQ(g.value("renamed:0").node, g.find("renamed"));
  EXPECT_THROW(g.value("renamd"), Error);
  EXPECT_EQ(g.unique_name("x"), "x_1");
  g.check();
}

// A GraphDef has no list of outputs: their order is that of their nodes.
TEST(GraphIo, OutputsAreWrittenInTheirOrder) {
  Graph graph;
  placeholder(graph, "x", {2});
  for (const char* name : {"first", "second", "third"}) add(graph, name, "Relu", {"x"});
  const std::string as_it_is = encode_graph(graph);
  graph.output_order = {"first", "third"};
  EXPECT_EQ(encode_graph(graph), as_it_is) << "only what is out of order moves";
  graph.output_order = {"third", "first", "second"};
  EXPECT_EQ(find_outputs(graph), graph.output_order);
  EXPECT_EQ(find_outputs(parse_graph(encode_graph(graph), "g.pb")), graph.output_order);
  graph.output_order = {"third", "first", "third"};
  EXPECT_EQ(find_outputs(parse_graph(encode_graph(graph), "g.pb")), (std::vector<std::string>{"second", "third", "first"}))
      << "an output that is named twice is written once";
}

TEST(GraphIo, SlotsOfOneNodeAreOutputs) {
  Graph graph;
  placeholder(graph, "x", {2});
  for (const char* name : {"first", "second"}) {
    AttrMap attrs;
    attrs.emplace("num", int64_t{2});
    add(graph, name, "Unpack", {"x"}, std::move(attrs));
  }
  PassOptions options;
  options.only = std::vector<std::string>{};
  options.interface.outputs = {"second:0", "first:0", "second:1"};
  run_passes(graph, options);
  EXPECT_EQ(graph.output_order, (std::vector<std::string>{"second", "first"}));
  EXPECT_EQ(parse_graph(encode_graph(graph), "g.pb").size(), graph.size());
}

}  // namespace
}  // namespace cytodet
