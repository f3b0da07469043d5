// What a prepared interpreter computes, and how often (graph/interpret/interpreter.h).
#include "graph/interpret/interpreter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/error_of.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::HasSubstr;

AttrMap entering(bool constant) {
  AttrMap a;
  a.emplace("frame_name", "loop");
  a.emplace("is_constant", constant);
  return a;
}

// while (v < 100) v += Relu(scale) + Neg(eight): `scale` is a loop constant, 8 a constant of the graph; "out" is v.
Graph loop(const std::string& waits_for = "") {
  Graph g;
  placeholder(g, "x", {});
  placeholder(g, "scale", {});
  constant(g, "eight", Tensor::scalar(8.0f));
  constant(g, "limit", Tensor::scalar(100.0f));
  add(g, "minus_eight", "Neg", {"eight"});
  add(g, "start", "Enter", {"x"}, entering(false));
  std::vector<std::string> scale{"scale"};
  if (!waits_for.empty()) scale.push_back("^" + waits_for);
  add(g, "scale_inside", "Enter", scale, entering(true));
  add(g, "eight_inside", "Enter", {"minus_eight"}, entering(true));
  add(g, "limit_inside", "Enter", {"limit"}, entering(true));
  add(g, "v", "Merge", {"start"});
  add(g, "more", "Less", {"v", "limit_inside"});
  add(g, "go", "LoopCond", {"more"});
  add(g, "ways", "Switch", {"v", "go"});
  add(g, "step", "Relu", {"scale_inside"});
  add(g, "sum", "AddV2", {"ways:1", "step"});
  add(g, "less", "AddV2", {"sum", "eight_inside"});
  add(g, "next", "NextIteration", {"less"});
  g.node(g.require("v")).inputs.push_back(g.value("next"));
  add(g, "out", "Exit", {"ways:0"});
  return g;
}

float run_loop(Interpreter& interpreter, float x, float scale) {
  return interpreter.run(std::vector<Tensor>{Tensor::scalar(x), Tensor::scalar(scale)})[0].data<float>()[0];
}

// Evaluates plainly and counts.
EvaluatorOf counting(std::map<std::string, int>& count) {
  return [&count](const Node& node) -> NodeEvaluator {
    return [&](std::span<const Tensor> in) {
      ++count[node.name];
      return evaluate(node, in);
    };
  };
}

TEST(Interpreter, ComputesWhatALoopDoesNotChangeOnce) {
  const Graph g = loop();
  std::map<std::string, int> count;
  Interpreter interpreter(g, {g.value("x"), g.value("scale")}, {g.value("out")}, counting(count));
  EXPECT_EQ(run_loop(interpreter, 1, 20), 109);  // 1 + 9 * 12
  EXPECT_EQ(count["sum"], 9);
  EXPECT_EQ(count["step"], 1);
  EXPECT_EQ(count["minus_eight"], 1);
  EXPECT_EQ(run_loop(interpreter, 1, 58), 101);  // 1 + 2 * 50
  EXPECT_EQ(count["sum"], 11);
  EXPECT_EQ(count["step"], 2);  // of another scale
  EXPECT_EQ(count["minus_eight"], 1);
}

TEST(Interpreter, ALoopConstantThatWaitsStaysForAllIterations) {
  const Graph g = loop("minus_eight");
  Interpreter interpreter(g, {g.value("x"), g.value("scale")}, {g.value("out")});
  EXPECT_EQ(run_loop(interpreter, 1, 20), 109);
  EXPECT_EQ(run_loop(interpreter, 1, 58), 101);
  EXPECT_EQ(run_loop(interpreter, 200, 58), 200);
}

TEST(Interpreter, ValuesInsideOfLoopsAreNoOutputs) {
  const Graph g = loop();
  for (const char* name : {"sum", "scale_inside"}) {
    Interpreter interpreter(g, {g.value("x"), g.value("scale")}, {g.value("out"), g.value(name)});
    EXPECT_THAT(error_of([&] { run_loop(interpreter, 1, 20); }), HasSubstr("output " + std::string(name) + ": has no value"));
  }
}

TEST(Interpreter, AValueThatIsFedInsideOfALoopIsTheSameInAllIterations) {
  const Graph g = loop();
  Interpreter interpreter(g, {g.value("x"), g.value("step")}, {g.value("out")});
  EXPECT_EQ(run_loop(interpreter, 1, 20), 109);
}

TEST(Interpreter, AFailedRunLeavesNothing) {
  Graph g = loop();
  add(g, "checked", "CheckNumerics", {"out"});
  Interpreter interpreter(g, {g.value("x"), g.value("scale")}, {g.value("checked")});
  EXPECT_THAT(error_of([&] { run_loop(interpreter, std::numeric_limits<float>::infinity(), 20); }), HasSubstr("node checked"));
  EXPECT_EQ(run_loop(interpreter, 1, 20), 109);
}

// Nodes that compute the same of the same values run once; other attributes or inputs, or a fed one, are something else.
TEST(Interpreter, TwinsRunOnce) {
  Graph g;
  placeholder(g, "x", {2});
  const auto cast = [](DType to) {
    AttrMap a;
    a.emplace("SrcT", DType::f32);
    a.emplace("DstT", to);
    return a;
  };
  add(g, "copy", "Identity", {"x"});
  add(g, "whole", "Cast", {"x"}, cast(DType::i32));
  add(g, "whole_again", "Cast", {"copy"}, cast(DType::i32));
  add(g, "wide", "Cast", {"x"}, cast(DType::f64));
  add(g, "back", "Cast", {"wide"}, cast(DType::i32));
  add(g, "sum", "AddV2", {"whole", "whole_again"});
  add(g, "all", "AddV2", {"sum", "back"});
  const Tensor x = Tensor::from<float>({2}, {1.5f, 3});
  std::map<std::string, int> count;
  Interpreter interpreter(g, {g.value("x")}, {g.value("all"), g.value("whole_again")}, counting(count));
  std::vector<Tensor> out = interpreter.run(std::vector<Tensor>{x});
  EXPECT_EQ(out[0].data<int32_t>()[1], 9);
  EXPECT_EQ(out[1].data<int32_t>()[0], 1);
  EXPECT_EQ(count["whole"] + count["whole_again"], 1);
  Interpreter fed(g, {g.value("whole"), g.value("x")}, {g.value("all")}, counting(count));
  out = fed.run(std::vector<Tensor>{Tensor::from<int32_t>({2}, {10, 20}), x});
  EXPECT_EQ(out[0].data<int32_t>()[1], 26);
}

// An input that is a node's own output twice, and a result that is read after it was passed on.
TEST(Interpreter, ValuesLiveUntilTheirLastReader) {
  Graph g;
  placeholder(g, "x", {2});
  add(g, "twice", "AddV2", {"x", "x"});
  add(g, "copy", "Identity", {"twice"});
  add(g, "square", "Mul", {"copy", "twice"});
  add(g, "sum", "AddV2", {"square", "twice"});
  Interpreter interpreter(g, {g.value("x")}, {g.value("sum"), g.value("copy")});
  for (int run = 0; run < 2; ++run) {
    const std::vector<Tensor> out = interpreter.run(std::vector<Tensor>{Tensor::from<float>({2}, {1, 3})});
    EXPECT_EQ(out[0].data<float>()[1], 42);
    EXPECT_EQ(out[1].data<float>()[1], 6);
  }
}

TEST(Interpreter, ANodeThatGivesFewerOutputsIsNamed) {
  Graph g;
  placeholder(g, "x", {2});
  add(g, "half", "Neg", {"x"});
  add(g, "sum", "AddV2", {"half", "half:1"});
  Interpreter interpreter(g, {g.value("x")}, {g.value("sum")});
  EXPECT_THAT(error_of([&] {
                interpreter.run(std::vector<Tensor>{Tensor::from<float>({2}, {1, 3})});
              }),
              HasSubstr("node sum (AddV2): input half:1 has no value"));
}

}  // namespace
}  // namespace cytodet
