// What graph commands notice: rewritten graphs that answer otherwise, feeds that do not fit, files that are no graphs.
#include <gmock/gmock.h>

#include "core/settings.h"
#include "graph/io/tensorflow/graph_def.h"
#include "pipeline/quantize/answer_check.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const std::string kLenet = kSource + "/tests/data/graph/lenet_frozen.pb";

Value add_value(Graph& g, const char* name, const char* op, const std::vector<Value>& inputs, AttrMap attrs = {}) {
  Node n;
  n.name = name;
  n.op = op;
  n.inputs = inputs;
  n.attrs = std::move(attrs);
  n.attrs.try_emplace("T", DType::f32);
  return {g.add(std::move(n)), 0};
}

// y = x * factor + 1, z = arg max of y.
Graph scaled(float factor, const Shape& shape = {-1, 5}) {
  Graph g;
  const Value x = add_value(g, "x", "Placeholder", {}, {{"dtype", DType::f32}, {"shape", ShapeAttr{true, shape}}});
  const Value y = add_value(g, "scaled", "Mul", {x, g.add_const("factor", Tensor::scalar(factor))});
  const Value sum = add_value(g, "y", "AddV2", {y, g.add_const("one", Tensor::scalar(1.0f))});
  add_value(g, "z", "ArgMax", {sum, g.add_const("axis", Tensor::scalar(int32_t{1}))}, {{"output_type", DType::i64}});
  return g;
}

TEST(AnswerCheck, EqualGraphsPass) {
  AnswerOptions options;
  options.interface.outputs = {"y", "z"};
  const AnswerCheck check = check_answers(scaled(2), scaled(2), options);
  EXPECT_THAT(check.compared, ElementsAre("y", "z"));
  EXPECT_THAT(check.skipped, IsEmpty());
  EXPECT_EQ(check.largest, 0);
}

TEST(AnswerCheck, RoundingPassesAndMeaningDoesNot) {
  AnswerOptions options;
  options.interface.outputs = {"y", "z"};
  EXPECT_GT(check_answers(scaled(2), scaled(2.00001f), options).largest, 0);
  try {
    check_answers(scaled(2), scaled(2.1f), options);
    ADD_FAILURE() << "a factor of 2.1 instead of 2 was not noticed";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("output y"));
  }
  EXPECT_THROW(check_answers(scaled(2), scaled(-2), options), Error);
}

TEST(AnswerCheck, AQuantizedGraphMustReachItsDecibels) {
  AnswerOptions options;
  options.interface.outputs = {"y"};
  options.min_sqnr_db = 10;
  EXPECT_NO_THROW(check_answers(scaled(2), scaled(2.1f), options));
  EXPECT_THROW(check_answers(scaled(2), scaled(-2), options), Error);
}

TEST(AnswerCheck, WhatTheSourceCannotRunIsSaid) {
  Graph g = scaled(2);
  add_value(g, "mystery", "NoSuchOp", {g.value("y")});
  AnswerOptions options;
  options.interface.outputs = {"y", "mystery"};
  const AnswerCheck check = check_answers(g, g, options);
  EXPECT_THAT(check.compared, ElementsAre("y"));
  EXPECT_THAT(check.skipped, HasSubstr("NoSuchOp"));
}

// Both branches of a condition are run.
TEST(AnswerCheck, ConditionsAreFedBothWays) {
  const auto chosen = [](float otherwise) {
    Graph g;
    const Value p = add_value(g, "p", "Placeholder", {}, {{"dtype", DType::boolean}, {"shape", ShapeAttr{true, {}}}});
    add_value(g, "y", "Select", {p, g.add_const("a", Tensor::scalar(1.0f)), g.add_const("b", Tensor::scalar(otherwise))});
    return g;
  };
  EXPECT_NO_THROW(check_answers(chosen(2), chosen(2), {}));
  EXPECT_THROW(check_answers(chosen(2), chosen(3), {}), Error);
}

class GraphChecks : public ProgramTest {};

TEST_F(GraphChecks, AFeedOfAnotherShapeIsRefused) {
  Graph g;
  add_value(g, "x", "Placeholder", {}, {{"dtype", DType::f32}, {"shape", ShapeAttr{true, {2, 3}}}});
  add_value(g, "y", "Relu", {g.value("x")});
  write_graph(g, path("net.pb"));
  const auto fed = [&](const std::string& shape, const std::string& data) {
    return run(
        {"infer", path("net.pb"), "--feeds",
         put("feeds.json", R"({"inputs": {"x:0": {"dtype": "float32", "shape": )" + shape + R"(, "data": )" + data + "}}}")});
  };
  EXPECT_EQ(fed("[2, 3]", "[1, 2, 3, 4, 5, 6]").code, 0);
  const Output o = fed("[1, 3]", "[1, 2, 3]");
  EXPECT_EQ(o.code, 1);
  ASSERT_THAT(o.errors(), SizeIs(1)) << o.err;
  EXPECT_THAT(o.errors()[0], HasSubstr("input x: is fed [1,3], but the graph takes [2,3]"));
}

TEST_F(GraphChecks, FeedsBesideAGraphAreNoModelFile) {
  std::filesystem::copy(kLenet, path("net.pb"));
  std::filesystem::copy(kSource + "/tests/data/quant/lenet/a.json", path("net.json"));
  const Output o = run({"calibrate", path("net.pb"), "--images", folder.string(), "-o", path("ranges.json"), "--quiet"});
  EXPECT_EQ(o.code, 0) << o.err;
}

// Other programs keep files of that name, too.
TEST_F(GraphChecks, JsonOfOthersBesideAGraphIsNoModelFile) {
  std::filesystem::copy(kLenet, path("net.pb"));
  put("net.json", R"({"type": "micro", "author": "somebody", "model": "net.pb", "version": 2})");
  const std::vector<std::string> calibrate{"calibrate", path("net.pb"),      "--images", kSource + "/tests/data/quant/lenet",
                                           "-o",        path("ranges.json"), "--quiet"};
  const Output o = run(calibrate);
  EXPECT_EQ(o.code, 0) << o.err;
  const Output refused = run({"detect", "--model", path("net.pb"), folder.string(), "-o", path("out")});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("net.pb: has no model file beside it; net.json is none: see docs/model_file.md"));
  put("net.json", R"({"grpah": "net.pb", "classes": ["a"]})");  // one with a mistake is not passed over
  EXPECT_THAT(run(calibrate).err, HasSubstr("grpah"));
}

TEST_F(GraphChecks, OptimizeKeepsAnswersAndSaysWhatItCouldNotCompare) {
  const Output o = run({"optimize", kLenet, "-o", path("small.pb")});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.err, Not(HasSubstr("could not be compared")));
  Graph g = scaled(2);
  add_value(g, "mystery", "NoSuchOp", {g.value("y")});
  write_graph(g, path("mystery.pb"));
  const Output partly = run({"optimize", path("mystery.pb"), "-o", path("small.pb"), "--outputs", "mystery"});
  EXPECT_EQ(partly.code, 0) << partly.err;
  EXPECT_THAT(partly.err, HasSubstr("its answers could not be compared with the source"));
  EXPECT_THAT(run({"optimize", path("mystery.pb"), "-o", path("small.pb"), "--outputs", "mystery", "--no-check"}).err,
              Not(HasSubstr("could not be compared")));
}

TEST_F(GraphChecks, BenchTakesABareGraph) {
  write_graph(scaled(2, {-1, -1}), path("net.pb"));
  const std::vector<std::string> bench{"bench", "--model", path("net.pb"), "--seconds", "0.1", "--outputs", "y", "--json"};
  const Output open = run(bench);
  EXPECT_EQ(open.code, 1);
  EXPECT_THAT(open.err, HasSubstr("--shape x=1,"));
  write_graph(scaled(2), path("net.pb"));
  EXPECT_EQ(run(bench).code, 0);  // of one image
  const Output o = run(
      {"bench", "--model", path("net.pb"), "--shape", "x=4,5", "--seconds", "0.1", "--streams", "1", "--outputs", "y", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_GT(Json::parse(o.out)["images_per_s"].get<double>(), 0);
}

TEST_F(GraphChecks, InspectCountsLayersOfUnknownSize) {
  Graph g;
  const Value x = add_value(g, "x", "Placeholder", {}, {{"dtype", DType::f32}, {"shape", ShapeAttr{true, {1, -1, -1, 3}}}});
  AttrList strides;
  strides.ints = {1, 1, 1, 1};
  add_value(g, "y", "Conv2D", {x, g.add_const("w", Tensor(DType::f32, {3, 3, 3, 8}))},
            {{"strides", strides}, {"padding", "SAME"}});
  write_graph(g, path("net.pb"));
  EXPECT_THAT(run({"inspect", path("net.pb")}).out,
              HasSubstr("0 (0), without 1 layers whose sizes are not known (give --shape)"));
  EXPECT_THAT(run({"inspect", path("net.pb"), "--shape", "x=1,10,10,3"}).out, HasSubstr(": 21600 (21.60k)\n"));
}

// x [1,10,10,3] -> Conv2D -> Cumsum, which no kernel computes.
TEST_F(GraphChecks, InspectNamesThePlainStepsOfAPlanBeforeItRuns) {
  Graph g;
  const Value x = add_value(g, "x", "Placeholder", {}, {{"dtype", DType::f32}, {"shape", ShapeAttr{true, {1, 10, -1, 3}}}});
  AttrList strides;
  strides.ints = {1, 1, 1, 1};
  const Value y = add_value(g, "y", "Conv2D", {x, g.add_const("w", Tensor(DType::f32, {3, 3, 3, 8}))},
                            {{"strides", strides}, {"padding", "SAME"}});
  add_value(g, "z", "Cumsum", {y, g.add_const("axis", Tensor::scalar(int32_t{1}))}, {{"Tidx", DType::i32}});
  write_graph(g, path("net.pb"));
  EXPECT_THAT(run({"inspect", path("net.pb"), "--plan"}).err, HasSubstr("give it: --shape x=1,"));
  EXPECT_THAT(run({"inspect", path("net.pb"), "--outputs", "y"}).err, HasSubstr("is for --plan"));
  const Output o = run({"inspect", path("net.pb"), "--plan", "--shape", "x=1,10,10,3"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("plan: 2 steps, 0.02 million multiply-accumulates, 0.0% of them in 8 bits; 1 plain steps\n"));
  EXPECT_THAT(o.out, HasSubstr("\nplain step z (Cumsum): "));
  const Json j =
      Json::parse(run({"inspect", path("net.pb"), "--plan", "--shape", "x=1,10,10,3", "--outputs", "y", "--json"}).out);
  EXPECT_EQ(j["plain_steps"], 0);
  ASSERT_THAT(j["list"], SizeIs(1));
  EXPECT_EQ(j["list"][0]["name"], "y");
  EXPECT_EQ(j["list"][0]["macs"], 21600);
  EXPECT_EQ(j["macs"], 21600);
}

}  // namespace
}  // namespace cytodet::test
