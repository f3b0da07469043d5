// What TensorFlow refuses of loops and conditions is found before a file is written; constants stay where they live.
#include "graph/ir/frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/validate.h"
#include "graph/passes/pass.h"
#include "tests/graph/control_graphs.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::HasSubstr;

AttrMap with_n(int64_t n) {
  AttrMap a;
  a.emplace("N", n);
  return a;
}

// x doubled on one way of flag, a constant on the other.
Graph condition() {
  Graph g;
  placeholder(g, "x", {2});
  AttrMap flag;
  flag.emplace("dtype", DType::boolean);
  flag.emplace("shape", ShapeAttr{true, {}});
  add(g, "flag", "Placeholder", {}, flag);
  add(g, "switch", "Switch", {"x", "flag"});
  add(g, "yes", "Identity", {"switch:1"});
  add(g, "twice", "AddV2", {"yes", "yes"});
  constant(g, "c", Tensor::from<float>({2}, {5, 6}));
  add(g, "no", "Identity", {"switch"});
  g.node(g.find("c")).controls = {g.find("no")};
  add(g, "merge", "Merge", {"c", "twice"}, with_n(2));
  return g;
}

AttrMap frame(const std::string& name, bool constant = false) {
  AttrMap a;
  a.emplace("frame_name", name);
  a.emplace("is_constant", constant);
  return a;
}

// x doubled until its sum is 100.
Graph counting_loop() {
  Graph g;
  placeholder(g, "x", {1});
  add(g, "enter", "Enter", {"x"}, frame("turn"));
  add(g, "merge", "Merge", {"enter", "enter"}, with_n(2));
  constant(g, "limit", Tensor::from<float>({1}, {100}));
  g.node(g.find("limit")).controls = {g.find("merge")};
  add(g, "less", "Less", {"merge", "limit"});
  add(g, "cond", "LoopCond", {"less"});
  add(g, "switch", "Switch", {"merge", "cond"});
  add(g, "body", "AddV2", {"switch:1", "switch:1"});
  add(g, "next", "NextIteration", {"body"});
  g.node(g.find("merge")).inputs[1] = g.value("next");
  add(g, "exit", "Exit", {"switch"});
  return g;
}

TEST(Frames, AConditionHoldsOnItsWaysAndNotBehindItsMerge) {
  const Graph g = condition();
  const Frames frames(g);
  EXPECT_EQ(frames.problem(), "");
  const auto guards = [&](const char* name) { return frames.guards(g.find(name)); };
  ASSERT_EQ(guards("twice").size(), 1u);
  EXPECT_EQ(guards("twice")[0].way, 1);
  ASSERT_EQ(guards("c").size(), 1u);
  EXPECT_EQ(guards("c")[0].way, 0);
  EXPECT_EQ(guards("c")[0].condition, guards("twice")[0].condition);
  EXPECT_TRUE(guards("merge").empty());
  EXPECT_FALSE(frames.is_inside(g.find("x")));
}

TEST(Frames, ALoopEndsAtItsExit) {
  const Graph g = counting_loop();
  const Frames frames(g);
  EXPECT_EQ(frames.problem(), "");
  EXPECT_NE(frames.frame(g.find("body")), 0);
  EXPECT_EQ(frames.frame(g.find("body")), frames.frame(g.find("limit")));
  EXPECT_TRUE(frames.guards(g.find("merge")).empty());
  EXPECT_EQ(frames.guards(g.find("body")).size(), 1u);
  EXPECT_FALSE(frames.is_inside(g.find("exit")));
}

TEST(Validate, SoundGraphsHaveNoProblem) {
  EXPECT_EQ(problem_in(condition()), "");
  EXPECT_EQ(problem_in(counting_loop()), "");
  EXPECT_EQ(problem_in(fixture()), "");
}

TEST(Validate, AConstantInALoopMustWaitForTheLoop) {
  Graph g = counting_loop();
  g.node(g.find("limit")).controls.clear();
  EXPECT_THAT(problem_in(g), HasSubstr("node less (Less) has inputs from different loops: merge and limit"));
}

TEST(Validate, AMergeReadsOneLiveValue) {
  Graph g = condition();
  g.node(g.find("c")).controls.clear();
  EXPECT_THAT(problem_in(g), HasSubstr("node merge (Merge) has two inputs that live at once"));
}

TEST(Validate, MissingAttributesAreNamed) {
  for (const auto& [node, attr] : std::vector<std::pair<std::string, std::string>>{
           {"switch", "T"}, {"merge", "N"}, {"merge", "T"}, {"enter", "frame_name"}, {"exit", "T"}, {"next", "T"}}) {
    Graph g = counting_loop();
    g.node(g.find(node)).attrs.erase(attr);
    EXPECT_THAT(problem_in(g), HasSubstr("node " + node)) << attr;
    EXPECT_THAT(problem_in(g), HasSubstr("lacks attribute \"" + attr + "\"")) << attr;
  }
  Graph g = counting_loop();
  g.node(g.find("merge")).attrs.insert_or_assign("N", Attr(int64_t{3}));
  EXPECT_THAT(problem_in(g), HasSubstr("attribute N says 3"));
}

TEST(Validate, ALoopIsEnteredFromOnePlace) {
  Graph g = counting_loop();
  add(g, "inner", "Enter", {"body"}, frame("turn"));
  EXPECT_THAT(problem_in(g), HasSubstr("node inner (Enter) enters loop \"turn\", which others enter from another loop"));
  Graph h = condition();
  add(h, "out", "Exit", {"merge"});
  EXPECT_THAT(problem_in(h), HasSubstr("node out (Exit) leaves a loop, but is in none"));
}

TEST(Passes, AFoldedConstantStaysOnItsWay) {
  Graph g = condition();
  add(g, "sum", "AddV2", {"c", "c"});
  g.node(g.find("merge")).inputs[0] = g.value("sum");
  PassOptions o;
  o.interface.outputs = {"merge"};
  o.only = {"fold_constants"};
  EXPECT_TRUE(run_passes(g, o)[0].changed);
  EXPECT_EQ(g.node(g.find("sum")).op, "Const");
  EXPECT_EQ(g.node(g.find("sum")).controls, std::vector<NodeId>{g.find("no")});
}

TEST(Passes, TheSizeOfAValueInALoopStaysInTheLoop) {
  Graph g = counting_loop();
  AttrMap a;
  a.emplace("out_type", DType::i32);
  add(g, "again", "Enter", {"x"}, frame("turn", true));
  add(g, "size", "Size", {"again"}, a);
  AttrMap cast;
  cast.emplace("SrcT", DType::i32);
  cast.emplace("DstT", DType::f32);
  add(g, "count", "Cast", {"size"}, cast);
  add(g, "more", "AddV2", {"body", "count"});
  g.node(g.find("next")).inputs[0] = g.value("more");
  PassOptions o;
  o.interface.outputs = {"exit"};
  run_passes(g, o);
  EXPECT_EQ(count(g, "Size") + count(g, "Cast"), 0);
  EXPECT_EQ(problem_in(g), "");
  Feeds feeds{{g.value("x"), Tensor::from<float>({1}, {10})}};
  EXPECT_EQ(interpret(g, feeds, {g.value("exit")})[0].data<float>()[0], 175);
}

TEST(Passes, NothingCanBeFedInsideALoop) {
  Graph g = counting_loop();
  PassOptions o;
  o.interface = {{"body"}, {"exit"}};
  try {
    run_passes(g, o);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("lies inside a loop"));
  }
}

TEST(InlineFunctions, ConvolutionsOfCompiledFunctionsBecomeOneOfGroups) {
  const auto folder = std::filesystem::path(source_dir()) / "tests/data/field/graphs/grouped_regnet_block";
  test::ControlGraph control = test::read_control_graph(folder);
  PassOptions o;
  o.interface = control.interface;
  run_passes(control.graph, o);
  EXPECT_TRUE(control.graph.library.empty());
  EXPECT_EQ(count(control.graph, "FusedBatchNormV3"), 0);
  int grouped = 0;
  for (NodeId id : control.graph.ids()) {
    const Node& n = control.graph.node(id);
    if (n.op != "Conv2D") continue;
    const Tensor& filter = *control.graph.constant(n.inputs[1]);
    grouped += filter.dim(0) == 3 && filter.dim(2) == 8 && filter.dim(3) > 8;
  }
  EXPECT_EQ(grouped, 1);
  EXPECT_EQ(count(control.graph, "Split"), 0);
}

TEST(InlineFunctions, WhatOnlyTheCompilerRunsStaysACall) {
  const auto folder = std::filesystem::path(source_dir()) / "tests/data/field/graphs/grouped_regnet_block";
  test::ControlGraph control = test::read_control_graph(folder);
  // Without the input's size the number of groups is not known.
  for (NodeId id : control.graph.ids())
    if (control.graph.node(id).op == "Placeholder")
      control.graph.node(id).attrs.insert_or_assign("shape", Attr(ShapeAttr{false, {}}));
  Graph here = control.graph;
  inline_functions(control.graph, InlineFor::tensorflow);
  EXPECT_EQ(count(control.graph, "PartitionedCall"), 1);
  EXPECT_FALSE(control.graph.library.empty());
  inline_functions(here);
  EXPECT_EQ(count(here, "PartitionedCall"), 0);
  EXPECT_TRUE(here.library.empty());
}

}  // namespace
}  // namespace cytodet
