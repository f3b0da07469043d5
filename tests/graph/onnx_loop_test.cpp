// ONNX models with Loop, Scan and recurrent layers: which form they take, and what is refused.
#include <gmock/gmock.h>

#include <algorithm>

#include "core/file.h"
#include "graph/io/onnx/onnx.h"
#include "graph/io/read_network.h"
#include "graph/ir/validate.h"
#include "tests/error_of.h"
#include "tests/graph/cases.h"
#include "tests/graph/onnx_writer.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

constexpr int kInt64 = 7, kBool = 9;

std::string le_int64(int64_t v) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(static_cast<uint64_t>(v) >> (8 * i) & 255);
  return bytes;
}
std::string count_of(const std::string& name, int64_t count) {
  return onnx_tensor(name, {}, kInt64, onnx_bytes(9, le_int64(count)));
}
std::string yes(const std::string& name, bool value = true) {
  return onnx_tensor(name, {}, kBool, onnx_bytes(9, std::string(1, value ? '\1' : '\0')));
}
// The body of a loop with one state: its inputs, s2 = `op`(s, `by`), what follows; outputs: the condition, s2, and s2 as an item.
std::string body_of(const std::string& op = "Add", const std::string& by = "x", const std::string& more = {}) {
  return onnx_node(op, {"s", by}, {"s2"}) + onnx_node("Identity", {"s2"}, {"item"}) + onnx_node("Identity", {"c"}, {"on"}) +
         more + onnx_input("i", {}, kInt64) + onnx_input("c", {}, kBool) + onnx_input("s", {2}) + onnx_output("on") +
         onnx_output("s2") + onnx_output("item");
}
std::string loop_model(const std::string& body, const std::vector<std::string>& inputs = {"n", "go", "x"}, int64_t count = 3) {
  return onnx_model(onnx_input("x", {2}) + onnx_input("m", {}, kInt64) + count_of("n", count) + yes("go") +
                    onnx_node("Loop", inputs, {"y", "items"}, onnx_graph_attr("body", body), "loop") + onnx_output("y") +
                    onnx_output("items"));
}

int count_ops(const Graph& graph, const std::string& op) {
  const auto ids = graph.ids();
  return static_cast<int>(std::count_if(ids.begin(), ids.end(), [&](NodeId id) { return graph.node(id).op == op; }));
}

std::string refusal_of(const std::string& model) {
  return error_of([&] { parse_onnx(model, "m.onnx", "."); });
}

std::vector<Tensor> answers(const Graph& g, int64_t m) {
  Feeds feeds{{g.value("x"), Tensor::from<float>({2}, {1, 2})}};
  if (g.find("m") >= 0) feeds[g.value("m")] = Tensor::scalar<int64_t>(m);
  return interpret(g, feeds, {g.value("y"), g.value("items")});
}

TEST(OnnxLoop, SmallCountsBecomeCopiesAndOthersLoops) {
  const Graph copies = parse_onnx(loop_model(body_of()), "m", {});
  EXPECT_EQ(count_ops(copies, "Enter"), 0);
  EXPECT_EQ(count_ops(copies, "AddV2"), 3);
  const Graph loop = parse_onnx(loop_model(body_of(), {"m", "go", "x"}), "m", {});
  EXPECT_EQ(count_ops(loop, "LoopCond"), 1);
  EXPECT_EQ(problem_in(loop), "");
  for (const Graph* g : {&copies, &loop}) {
    const auto got = answers(*g, 3);
    EXPECT_EQ(difference(got[0], Tensor::from<float>({2}, {4, 8})), "");
    EXPECT_EQ(difference(got[1], Tensor::from<float>({3, 2}, {2, 4, 3, 6, 4, 8})), "");
  }
  EXPECT_EQ(count_ops(parse_onnx(loop_model(body_of(), {"n", "go", "x"}, 65), "m", {}), "LoopCond"), 1);
}

TEST(OnnxLoop, NoIterationGivesAnEmptyList) {
  for (const std::string& model : {loop_model(body_of(), {"n", "go", "x"}, 0), loop_model(body_of(), {"n", "go", "x"}, -5),
                                   loop_model(body_of(), {"m", "go", "x"})}) {
    const auto got = answers(parse_onnx(model, "m", {}), 0);
    EXPECT_EQ(difference(got[0], Tensor::from<float>({2}, {1, 2})), "");
    EXPECT_EQ(got[1].shape(), (Shape{0, 2}));
  }
}

// A body that would fail on what it reads must not run before the condition has said that it does.
TEST(OnnxLoop, WhatABodyReadsIsLookedAtOnlyWhenItRuns) {
  const std::string fails = onnx_node("Gather", {"x", "far"}, {"t"}) + onnx_node("Mul", {"t", "t"}, {"u"});
  const std::string body = onnx_tensor("far", {}, kInt64, onnx_bytes(9, le_int64(0))) + fails + body_of("Add", "u");
  const std::string model =
      onnx_model(onnx_input("x", {-1}) + onnx_input("start", {1}) + onnx_input("m", {}, kInt64) + yes("go") +
                 onnx_node("Loop", {"m", "go", "start"}, {"y", "items"}, onnx_graph_attr("body", body)) + onnx_output("y"));
  const Graph g = parse_onnx(model, "m", {});
  const auto got = interpret(g,
                             {{g.value("x"), Tensor(DType::f32, {0})},
                              {g.value("start"), Tensor::from<float>({1}, {4})},
                              {g.value("m"), Tensor::scalar<int64_t>(0)}},
                             {g.value("y")});
  EXPECT_EQ(difference(got[0], Tensor::from<float>({1}, {4})), "");
}

// TensorFlow takes a loop only where its nodes read values of that loop.
TEST(OnnxLoop, TensorFlowWouldLoadEveryCase) {
  int loops = 0;
  for (const std::string& name : case_names(data("graph/onnx"))) {
    const Graph graph = read_graph(data("graph/onnx/" + name) / "model.onnx");
    EXPECT_EQ(problem_in(graph), "") << name;
    for (NodeId id : graph.ids()) EXPECT_FALSE(graph.node(id).op == "Merge" && graph.node(id).has_attr("_output_shapes")) << name;
    loops += count_ops(graph, "LoopCond") > 0;
  }
  EXPECT_GE(loops, 10);
}

TEST(OnnxLoop, DamagedLoopsAreRefused) {
  const std::string x = onnx_input("x", {2}), y = onnx_output("y");
  EXPECT_THAT(refusal_of(onnx_model(x + count_of("n", 3) + onnx_node("Loop", {"n", "", "x"}, {"y"}, {}, "l") + y)),
              HasSubstr("m.onnx: node l (Loop): lacks its body"));
  EXPECT_THAT(refusal_of(loop_model(body_of() + onnx_input("more", {}))), HasSubstr("has a body of 4 inputs"));
  EXPECT_THAT(refusal_of(loop_model(onnx_output("on"))),
              HasSubstr("node loop (Loop): has a body of 1 outputs for 1 values and 2"));
  EXPECT_THAT(refusal_of(loop_model(body_of("Less"))), HasSubstr("has a body that makes bool of value 0, which is float32"));
  EXPECT_THAT(refusal_of(loop_model(body_of("Less"), {"m", "go", "x"})), HasSubstr("makes bool of value 0, which is float32"));
  EXPECT_THAT(refusal_of(loop_model(body_of("Add", "nothing"))),
              HasSubstr("reads tensor nothing, which no node before it makes"));
  EXPECT_THAT(refusal_of(loop_model(body_of("Add", "later", onnx_node("Neg", {"s2"}, {"later"})))),
              HasSubstr("node of output s2 (Add): reads tensor later"));
  EXPECT_THAT(refusal_of(loop_model(body_of(), {"n", "x", "x"})), HasSubstr("has a condition of type float32"));
  EXPECT_THAT(refusal_of(loop_model(body_of(), {"", "go", "x"})), HasSubstr("node loop (Loop): has a loop that never ends"));
  EXPECT_THAT(refusal_of(loop_model(body_of(), {"n"})), HasSubstr("has too few inputs"));
  // A body that reads a sequence: type 4 of a value.
  const std::string sequence = onnx_bytes(11, onnx_bytes(1, "q") + onnx_bytes(2, onnx_bytes(4, {})));
  EXPECT_THAT(refusal_of(loop_model(body_of() + sequence)),
              HasSubstr("input q: is no tensor, but a sequence or an optional value"));
}

// Loops in loops: copies of copies end at a bound, and the graphs of a file may be 16 deep.
TEST(OnnxLoop, NestingEnds) {
  const auto nested = [](int depth) {
    std::string body = body_of();
    for (int d = 0; d < depth; ++d) {
      const std::string k = std::to_string(d);
      body = onnx_node("Loop", {"n", "go", "t" + k}, {"r" + k}, onnx_graph_attr("body", body)) +
             onnx_node("Identity", {"c" + k}, {"on" + k}) + onnx_input("i" + k, {}, kInt64) + onnx_input("c" + k, {}, kBool) +
             onnx_input("t" + k, {2}) + onnx_output("on" + k) + onnx_output("r" + k);
    }
    return onnx_model(onnx_input("x", {2}) + count_of("n", 60) + yes("go") +
                      onnx_node("Loop", {"n", "go", "x"}, {"y"}, onnx_graph_attr("body", body)) + onnx_output("y"));
  };
  const Graph three = parse_onnx(nested(2), "m", {});
  EXPECT_GE(count_ops(three, "LoopCond"), 1);
  EXPECT_LT(three.size(), 20000);
  EXPECT_EQ(problem_in(three), "");
  EXPECT_THAT(refusal_of(nested(14)), HasSubstr("loops within loops"));
  EXPECT_THAT(refusal_of(nested(17)), HasSubstr("graphs lie in graphs more than 16 deep"));
}

TEST(OnnxLoop, DamagedScansAreRefused) {
  const std::string body = onnx_node("Add", {"s", "e"}, {"s2"}) + onnx_input("s", {2}) + onnx_input("e", {2}) + onnx_output("s2");
  const auto scan = [&](const std::string& attributes, const std::string& inner) {
    return refusal_of(onnx_model(onnx_input("x", {2}) + onnx_input("l", {3, 2}) +
                                 onnx_node("Scan", {"x", "l"}, {"y"}, onnx_graph_attr("body", inner) + attributes, "scan") +
                                 onnx_output("y")));
  };
  EXPECT_EQ(scan(onnx_number_attr("num_scan_inputs", 1), body), "");
  EXPECT_THAT(scan({}, body), HasSubstr("node scan (Scan): scans 0 inputs of 2"));
  EXPECT_THAT(scan(onnx_number_attr("num_scan_inputs", 3), body), HasSubstr("scans 3 inputs of 2"));
  EXPECT_THAT(scan(onnx_number_attr("num_scan_inputs", 1) + onnx_ints("scan_input_axes", {2}), body),
              HasSubstr("axis 2 is out of range"));
  EXPECT_THAT(scan(onnx_number_attr("num_scan_inputs", 1) + onnx_ints("scan_input_directions", {1, 0}), body),
              HasSubstr("has 2 scan_input_directions for 1"));
  EXPECT_THAT(scan(onnx_number_attr("num_scan_inputs", 1), onnx_output("s2")), HasSubstr("has a body of 0 inputs and 1 outputs"));
}

TEST(OnnxLoop, RecurrentLayersThatAreNotReadAreNamed) {
  const auto layer = [](const std::string& op, const std::vector<int64_t>& w, const std::vector<int64_t>& r,
                        const std::string& attributes) {
    return refusal_of(onnx_model(onnx_input("x", {5, 1, 3}) + onnx_input("w", w) + onnx_input("r", r) +
                                 onnx_node(op, {"x", "w", "r"}, {"y"}, attributes, "cell") + onnx_output("y")));
  };
  const std::vector<int64_t> w = {1, 8, 3}, r = {1, 8, 2};
  EXPECT_EQ(layer("LSTM", w, r, {}), "");
  EXPECT_THAT(layer("GRU", w, r, {}), HasSubstr("node cell (GRU): has an input 1 of shape [1,8,3], not [1,6,?]"));
  EXPECT_THAT(layer("LSTM", w, {8, 2}, {}), HasSubstr("has weights of 2 dimensions"));
  EXPECT_THAT(layer("LSTM", w, r, onnx_number_attr("hidden_size", 3)), HasSubstr("do not fit its hidden_size"));
  EXPECT_THAT(layer("LSTM", w, r, onnx_number_attr("input_forget", 1)), HasSubstr("has the attribute input_forget"));
  EXPECT_THAT(layer("LSTM", w, r, onnx_number_attr("clip", 1)), HasSubstr("has the attribute clip"));
  EXPECT_THAT(layer("LSTM", w, r, onnx_text_attr("direction", "sideways")), HasSubstr("has direction sideways"));
  EXPECT_THAT(layer("LSTM", w, r, onnx_text_attr("direction", "bidirectional")), HasSubstr("not [2,8,?]"));
  EXPECT_THAT(layer("LSTM", w, r, onnx_number_attr("activations", 1)), HasSubstr("activations"));
}

}  // namespace
}  // namespace cytodet::test
