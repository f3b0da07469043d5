#include "quant/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "core/error.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"
#include "quant/calibrate.h"
#include "quant/graph_hash.h"
#include "quant/sensitivity.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"
#include "tests/paths.h"
#include "tests/quant/subjects.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<float> output_of(const Graph& graph, PlanOptions plan, const CalibrationData& data, int threads) {
  plan.threads = threads;
  Runner runner(Plan::compile(graph, plan));
  data.feed(0, runner);
  runner.run();
  const Tensor& out = runner.output(0);
  return {out.data<float>(), out.data<float>() + out.size()};
}

TEST(Quantize, LenetKeeps25Decibels) {
  TestSubject s = lenet();
  const Ranges ranges = calibrate(s.graph, s.plan, s.data, quiet()).ranges;
  const OutputSqnr outputs(s.graph, s.plan, s.data);
  std::vector<double> db;
  for (bool per_channel : {true, false}) {
    Graph g = s.graph;
    QuantizeReport report = quantize(g, ranges, {.per_channel = per_channel, .symmetric = false, .bias_correction = true});
    EXPECT_EQ(report.int8_layers(), 5);
    EXPECT_TRUE(has_quantized(g));
    db.push_back(outputs.of(g));
    EXPECT_EQ(output_of(g, s.plan, s.data, 1), output_of(g, s.plan, s.data, 2));
  }
  EXPECT_GE(db[0], 25);
  EXPECT_GE(db[1], 20);
}

TEST(Quantize, SignedInputsToo) {
  TestSubject s = lenet();
  const Ranges ranges = calibrate(s.graph, s.plan, s.data, quiet()).ranges;
  Graph g = s.graph;
  QuantizeReport report = quantize(g, ranges, {.symmetric = true, .exclude_ops = {}, .exclude_nodes = {}});
  for (const QuantizedLayer& l : report.layers) EXPECT_TRUE(l.input.is_signed && l.input.zero_point == 0);
  EXPECT_GE(OutputSqnr(s.graph, s.plan, s.data).of(g), 22);
}

// image [1,6,8,8,4] -> Conv3D to 16 channels -> Relu -> Conv3D: channels in groups of eight are computed in 8 bits.
TEST(Quantize, ConvolutionsOfVolumes) {
  TestSubject s;
  std::mt19937 random(17);
  placeholder(s.graph, "image", {1, 6, 8, 8, 4});
  AttrMap attrs;
  attrs.emplace("padding", std::string("SAME"));
  attrs.emplace("data_format", std::string("NDHWC"));
  attrs.emplace("strides", ints({1, 1, 1, 1, 1}));
  constant(s.graph, "w1", normal_tensor({3, 3, 3, 4, 16}, random, 0.1f));
  constant(s.graph, "w2", normal_tensor({3, 3, 3, 16, 5}, random, 0.05f));
  add(s.graph, "first", "Conv3D", {"image", "w1"}, attrs);
  add(s.graph, "act", "Relu", {"first"});
  add(s.graph, "second", "Conv3D", {"act", "w2"}, attrs);
  s.plan.outputs = {"second"};
  s.plan.input_shapes["image"] = {1, 6, 8, 8, 4};
  const Tensor image = normal_tensor({1, 6, 8, 8, 4}, random);
  s.data = {"noise", {"a"}, [image](size_t, Runner& runner) { runner.set_input(0, image); }};
  Graph g = s.graph;
  const QuantizeReport report = quantize(g, calibrate(s.graph, s.plan, s.data, quiet()).ranges, {});
  ASSERT_THAT(report.layers, SizeIs(2));
  EXPECT_EQ(report.layers[0].why, "its 4 channels are not groups of 8");
  EXPECT_EQ(report.layers[1].precision, LayerPrecision::int8);
  EXPECT_GE(OutputSqnr(s.graph, s.plan, s.data).of(g), 30);
  PlanOptions plan = s.plan;
  EXPECT_EQ(Plan::compile(g, plan)->plain_steps(), 0);
}

// What keeps a conformance graph's layers in float; the others must keep 25 dB.
std::string quantized_conformance(const std::string& name, bool& tried) {
  TestSubject s = conformance(name);
  if (s.graph.ids().empty()) return {};
  const std::vector<std::string> values = values_of_layers(s.graph);
  if (values.empty()) return {};
  tried = true;
  Ranges ranges;
  ranges.graph_hash = graph_hash(s.graph);
  if (s.f32) ranges = calibrate(s.graph, s.plan, s.data, quiet()).ranges;
  Graph g = s.graph;
  QuantizeReport report = quantize(g, ranges, {});
  if (!report.int8_layers()) return report.layers.front().why;
  const double db = OutputSqnr(s.graph, s.plan, s.data).of(g);
  return db >= 25 ? "" : "outputs at " + std::to_string(db) + " dB";
}

TEST(Quantize, ConformanceGraphs) {
  int tried = 0, quantized = 0;
  for (const auto& e : std::filesystem::directory_iterator(cytodet::source_dir() + "/tests/data/graph/conformance")) {
    const std::string name = e.path().filename().string();
    bool counts = false;
    const std::string why = quantized_conformance(name, counts);
    tried += counts;
    quantized += counts && why.empty();
    if (why.empty()) continue;
    const bool known =
        why == "its filter is not a float constant" || why == "it transposes its input" || why.ends_with("has no INT8 form");
    EXPECT_TRUE(known) << name << ": " << why;
  }
  EXPECT_GE(tried, 8);
  EXPECT_GE(quantized, 4);
}

TEST(Quantize, ExclusionsAndMissingRangesAreReported) {
  TestSubject s = lenet();
  Ranges ranges = calibrate(s.graph, s.plan, s.data, quiet()).ranges;
  QuantizeOptions options;
  options.exclude_ops = {"MatMul"};
  options.exclude_nodes = {"Lenet/conv1_1/Conv2D"};
  ranges.values.erase("Lenet/pool2_1/MaxPool");
  ranges.values["Lenet/pool4_1/MaxPool"].low = ranges.values["Lenet/pool4_1/MaxPool"].high = 0;
  Graph g = s.graph;
  QuantizeReport report = quantize(g, ranges, options);
  ASSERT_THAT(report.layers, SizeIs(5));
  EXPECT_EQ(report.layers[0].why, "excluded by name");
  EXPECT_EQ(report.layers[1].why, "no range of its input Lenet/pool2_1/MaxPool");
  EXPECT_EQ(report.layers[2].why, "its input was one number in calibration");
  EXPECT_EQ(report.layers[3].why, "excluded by op");
  EXPECT_EQ(report.int8_layers(), 0);
}

TEST(Quantize, Errors) {
  TestSubject s = lenet();
  const Ranges ranges = calibrate(s.graph, s.plan, s.data, quiet()).ranges;
  Graph g = s.graph;
  QuantizeOptions options;
  options.exclude_nodes = {"Lenet/conv1_1/Conv2d"};
  EXPECT_THAT(error_of([&] { quantize(g, ranges, options); }),
              HasSubstr("excluded nodes: Lenet/conv1_1/Conv2d is not in the graph; did you mean Lenet/conv1_1/Conv2D"));
  options.exclude_nodes = {};
  options.exclude_ops = {"Conv3D", "MatMul", "SparseSoftmaxCrossEntropyWithLogits"};
  EXPECT_EQ(
      unknown_exclusions(g, options),
      "excluded ops: Conv3D is not in the graph, did you mean Conv2D, Const?; SparseSoftmaxCrossEntropyWithLogits is not in the "
      "graph");
  Graph without = g;
  EXPECT_EQ(error_of([&] { quantize(without, ranges, options); }), "");
  Ranges other = ranges;
  other.graph_hash = "0";
  EXPECT_THAT(error_of([&] { quantize(g, other, {}); }), HasSubstr("belong to another graph"));
  quantize(g, ranges, {});
  EXPECT_THAT(error_of([&] { quantize(g, ranges, {}); }), HasSubstr("is quantized already"));
}

}  // namespace
}  // namespace cytodet
