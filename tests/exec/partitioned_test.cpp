// Graphs with loops and conditions whose straight parts are compiled (exec/runtime/partitioned_plan.h).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <random>

#include "core/error.h"
#include "exec/run_graph.h"
#include "exec/runtime/partition.h"
#include "exec/runtime/partitioned_plan.h"
#include "graph/io/read_graph.h"
#include "graph/passes/pass.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::HasSubstr;

const std::vector<std::string> kDetections{"detection_boxes", "detection_scores", "detection_classes",
                                           "num_detections",  "raw_boxes",        "raw_scores"};

// A whole detector as the object-detection API exports it (scripts/make_detector_graphs.py): image_tensor [n, h, w, 3] bytes.
Graph detector(const std::string& name = "small") {
  Graph g = read_graph(source_dir() + "/tests/data/graph/detectors/" + name + "/graph.pb");
  PassOptions passes;
  passes.interface = {{"image_tensor"}, kDetections};
  run_passes(g, passes);
  return g;
}

Tensor image_of(int64_t height, int64_t width, unsigned seed) {
  Tensor t(DType::u8, {1, height, width, 3});
  std::mt19937 random(seed);
  for (int64_t i = 0; i < t.size(); ++i) t.data<uint8_t>()[i] = static_cast<uint8_t>(random() >> 24);
  return t;
}

void expect_as_interpreted(const Graph& g, const Tensor& image, Runner& runner) {
  std::vector<Value> fetches;
  for (const std::string& name : kDetections) fetches.push_back(g.value(name));
  const std::vector<Tensor> wanted = interpret(g, {{g.value("image_tensor"), image}}, fetches);
  runner.set_input(0, image);
  runner.run();
  for (size_t i = 0; i < wanted.size(); ++i)
    EXPECT_EQ(difference(runner.output(static_cast<int>(i)), wanted[i]), "") << kDetections[i];
}

PlanOptions detections() {
  PlanOptions options;
  options.outputs = kDetections;
  return options;
}

TEST(PartitionedPlan, WholeDetectorsAnswerAsTensorFlow) {
  for (const CaseResult& r : run_cases(source_dir() + "/tests/data/graph/detectors", {})) EXPECT_EQ(r.problem, "") << r.name;
}

TEST(PartitionedPlan, ImagesOfEverySize) {
  for (const char* name : {"small", "small_fpn", "small_rcnn"}) {
    SCOPED_TRACE(name);
    const Graph g = detector(name);
    Runner runner(Plan::compile(g, detections()));
    for (int64_t size : {24, 40, 24}) expect_as_interpreted(g, image_of(size, 2 * size, 3), runner);
  }
}

TEST(PartitionedPlan, ThreadsDoNotChangeDetections) {
  for (const char* name : {"small", "small_fpn", "small_rcnn"}) {
    const Graph g = detector(name);
    std::vector<std::vector<Tensor>> answers;
    for (int threads : {1, 3}) {
      PlanOptions options = detections();
      options.threads = threads;
      Runner runner(Plan::compile(g, options));
      runner.set_input(0, image_of(150, 200, 9));
      runner.run();
      for (std::vector<Tensor>& own = answers.emplace_back(); own.size() < kDetections.size();)
        own.push_back(runner.output(static_cast<int>(own.size())).clone());
    }
    for (size_t i = 0; i < kDetections.size(); ++i)
      EXPECT_EQ(std::memcmp(answers[0][i].raw(), answers[1][i].raw(), answers[0][i].bytes()), 0) << name << " " << kDetections[i];
  }
}

TEST(PartitionedPlan, MoreSizesThanAreKept) {
  Graph g;
  placeholder(g, "x", {});
  g.node(g.require("x")).attrs.erase("shape");
  placeholder(g, "p", {});
  g.node(g.require("p")).attrs["dtype"] = DType::boolean;
  add(g, "ways", "Switch", {"x", "p"});
  add(g, "yes", "Relu", {"ways:1"});
  add(g, "no", "Neg", {"ways:0"});
  add(g, "joined", "Merge", {"no", "yes"});
  constant(g, "w", fixture_weights());
  add(g, "conv", "Conv2D", {"joined", "w"}, conv_attrs());
  PlanOptions options;
  options.outputs = {"conv"};
  const auto plan = Plan::compile(g, options);
  Runner runner(plan);
  std::mt19937 random(5);
  for (int round = 0; round < 2; ++round)
    for (int64_t width = 2; width < 2 + static_cast<int64_t>(kMaxSizes) + 3; ++width) {
      const Tensor x = normal_tensor({1, 1, width, 2}, random), p = Tensor::from<bool>({}, {width % 2 == 0});
      for (size_t i = 0; i < 2; ++i) runner.set_input(static_cast<int>(i), plan->inputs()[i].name == "x" ? x : p);
      runner.run();
      const Tensor wanted = interpret(g, {{g.value("x"), x}, {g.value("p"), p}}, {g.value("conv")})[0];
      EXPECT_EQ(difference(runner.output(0), wanted), "") << width;
    }
}

// small_rcnn has loops on both sides of its second stage too.
TEST(PartitionedPlan, ConvolutionsAreCompiled) {
  for (const auto& [name, networks] : std::map<std::string, int>{{"small", 1}, {"small_fpn", 1}, {"small_rcnn", 2}}) {
    const Graph g = detector(name);
    int compiled = 0;
    for (const Part& part : partition(g, {g.value("image_tensor")}, {g.value("num_detections")})) {
      compiled += part.has_layers && !part.interpreted;
    }
    EXPECT_EQ(compiled, networks) << name;
  }
}

// A filter that is computed from constants, as of 8-bit convolutions, is no input of the convolution's part.
TEST(Partition, WhatIsMadeOfConstantsIsCopied) {
  Graph g;
  placeholder(g, "x", {1, 1, 6, 2});
  placeholder(g, "p", {});
  g.node(g.require("p")).attrs["dtype"] = DType::boolean;
  add(g, "ways", "Switch", {"x", "p"});
  add(g, "joined", "Merge", {"ways:0", "ways:1"});
  constant(g, "w", fixture_weights());
  add(g, "filter", "Neg", {"w"});
  add(g, "conv", "Conv2D", {"joined", "filter"}, conv_attrs());
  for (const Part& part : partition(g, {g.value("x"), g.value("p")}, {g.value("conv")}))
    if (part.has_layers) {
      EXPECT_EQ(part.inputs, std::vector<Value>{g.value("joined")});
    }
}

// a ─▶ [loop] ─▶ out of it ─▶ Neg ─▶ back into a second loop of the same arrays: what lies between is interpreted with them.
TEST(Partition, APartIsNeverAheadOfItself) {
  const Graph g = detector();
  const std::vector<Part> parts = partition(g, {g.value("image_tensor")}, {g.value("detection_boxes"), g.value("raw_scores")});
  std::set<Value> made{g.value("image_tensor")};
  for (const Part& part : parts) {
    for (Value v : part.inputs) EXPECT_TRUE(made.contains(v)) << g.name_of(v);
    made.insert(part.outputs.begin(), part.outputs.end());
  }
}

// Handles of lists live as long as one run of the interpreter: what works on one list is one part.
TEST(PartitionedPlan, ListsOfTensors) {
  for (const CaseResult& r : run_cases(source_dir() + "/tests/data/graph/ops", {}))
    if (r.name.find("tensor_") != std::string::npos) {
      EXPECT_EQ(r.problem, "") << r.name;
    }
}

// scripts/make_control_graphs.py: random conditions, loops and functions, with TensorFlow's answers.
TEST(PartitionedPlan, RandomGraphsAnswerAsTensorFlow) {
  int compared = 0;
  for (const auto& folder : std::filesystem::directory_iterator(source_dir() + "/tests/data/graph/control"))
    for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
      if (file.path().extension() != ".json") continue;
      SCOPED_TRACE(file.path().string());
      const Case c = read_case(file.path());
      InferOptions options;
      for (const auto& [name, tensor] : c.outputs) options.outputs.push_back(name);
      const NamedTensors answers = infer(folder.path() / "graph.pb", c.inputs, options);
      for (const auto& [name, wanted] : c.outputs) EXPECT_EQ(difference(answers.at(name), wanted), "") << name;
      ++compared;
    }
  EXPECT_GT(compared, 100);
}

TEST(PartitionedPlan, TapsAreSeenOutsideLoopsAndRefusedInside) {
  const Graph g = detector();
  PlanOptions options = detections();
  options.taps = {"image_tensor", "raw_scores"};
  Runner runner(Plan::compile(g, options));
  runner.set_input(0, image_of(30, 40, 1));
  std::map<int, Tensor> seen;
  runner.run([&](int i, const Tensor& t) { seen[i] = t.clone(); });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(difference(seen[0], image_of(30, 40, 1)), "");
  EXPECT_EQ(difference(seen[1], runner.output(5)), "");
  for (NodeId id : g.ids())
    if (g.node(id).op == "NextIteration") options.taps = {g.node(id).name};
  try {
    Plan::compile(g, options);
    FAIL() << "a tap in a loop is taken";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("loop"));
  }
}

TEST(PartitionedPlan, StepsAreAsManyAsTimes) {
  Runner runner(Plan::compile(detector(), detections()));
  runner.set_input(0, image_of(24, 24, 1));
  std::vector<double> ms;
  runner.run_timed(ms);
  EXPECT_EQ(ms.size(), runner.plan().steps().size());
}

}  // namespace
}  // namespace cytodet
