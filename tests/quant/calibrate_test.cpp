#include "quant/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "quant/graph_hash.h"
#include "tests/graph/fixtures.h"
#include "tests/quant/subjects.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// x -> conv -> BiasAdd "sum" -> Relu -> conv2 (no bias).
Graph network() {
  Graph g = fixture();
  constant(g, "b", Tensor::from<float>({2}, {.1f, .6f}));
  add(g, "sum", "BiasAdd", {"conv", "b"});
  add(g, "relu", "Relu", {"sum"});
  constant(g, "w2", fixture_weights());
  add(g, "conv2", "Conv2D", {"relu", "w2"}, conv_attrs());
  return g;
}

// Sample i is the fixture's input times i + 1.
CalibrationData scaled_inputs(size_t n) {
  CalibrationData data{"data", {}, [](size_t i, Runner& runner) {
                         Tensor x = fixture_input();
                         for (int64_t k = 0; k < x.size(); ++k)
                           runner.input(0).data<float>()[k] = x.data<float>()[k] * static_cast<float>(i + 1);
                       }};
  for (size_t i = 0; i < n; ++i) data.samples.push_back("sample" + std::to_string(i));
  return data;
}

TEST(Calibrate, RangesOfLayers) {
  Graph g = network();
  CalibrateOptions options = quiet();
  options.per_channel = options.records = true;
  Calibration c = calibrate(g, {}, scaled_inputs(3), options);
  EXPECT_THAT(values_of_layers(g), ElementsAre("x", "sum", "relu", "conv2"));
  ASSERT_THAT(c.ranges.values, SizeIs(4));
  EXPECT_EQ(c.ranges.graph_hash, graph_hash(g));
  EXPECT_EQ(c.ranges.images, 3);
  EXPECT_EQ(c.ranges.method, "minmax");
  EXPECT_EQ(c.ranges.data, "data");
  const Range& x = c.ranges.values["x"];
  EXPECT_EQ(x.low, -18);
  EXPECT_EQ(x.high, 18);
  EXPECT_THAT(x.channel_low, ElementsAre(-9, -18));
  EXPECT_THAT(x.channel_high, ElementsAre(9, 18));
  EXPECT_THAT(x.channel_mean, ElementsAre(0, 0));
  const Range& sum = c.ranges.values["sum"];
  EXPECT_NEAR(sum.low, -27.0 * 3 + .6, 1e-3);
  EXPECT_NEAR(sum.high, 28.2 * 3 + .6, 1e-3);
  EXPECT_EQ(c.ranges.values["relu"].low, 0);
  EXPECT_THAT(sum.channel_mean, SizeIs(0));
  ASSERT_THAT(c.records, SizeIs(12));
  EXPECT_EQ(c.records[4].values, (std::vector<float>{-12, 12}));  // sample1, x
}

TEST(Calibrate, AllValues) {
  CalibrateOptions options = quiet();
  options.all_values = true;
  Calibration c = calibrate(network(), {}, scaled_inputs(1), options);
  std::vector<std::string> names;
  for (const auto& [name, range] : c.ranges.values) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("conv", "conv2", "relu", "sum", "x"));
}

TEST(Calibrate, StreamsDoNotMatter) {
  for (const ObserverEntry& row : all_observers()) {
    CalibrateOptions one = quiet(row.name), many = quiet(row.name);
    one.streams = 1;
    many.streams = 5;
    Calibration a = calibrate(network(), {}, scaled_inputs(40), one), b = calibrate(network(), {}, scaled_inputs(40), many);
    for (const auto& [name, range] : a.ranges.values) {
      EXPECT_EQ(range.low, b.ranges.values[name].low) << row.name << " " << name;
      EXPECT_EQ(range.high, b.ranges.values[name].high) << row.name << " " << name;
      EXPECT_EQ(range.channel_mean, b.ranges.values[name].channel_mean) << row.name << " " << name;
    }
  }
}

TEST(Calibrate, BadSamplesAreLeftOut) {
  CalibrationData data = scaled_inputs(4);
  auto good = data.feed;
  data.feed = [good](size_t i, Runner& runner) {
    if (i % 2 == 1) throw Error("sample" + std::to_string(i), "is broken");
    good(i, runner);
  };
  Calibration c = calibrate(network(), {}, data, quiet());
  EXPECT_EQ(c.ranges.images, 2);
  EXPECT_THAT(c.problems, ElementsAre("sample1: is broken", "sample3: is broken"));
  EXPECT_EQ(c.ranges.values["x"].high, 18);
  data.feed = [](size_t i, Runner&) { throw Error("sample" + std::to_string(i), "is broken"); };
  EXPECT_THAT(error_of([&] { calibrate(network(), {}, data, quiet()); }),
              HasSubstr("none of 4 images could be used; the first: sample0: is broken"));
  data.samples.clear();
  EXPECT_THAT(error_of([&] { calibrate(network(), {}, data, quiet()); }), HasSubstr("data: holds no images"));
}

// Log of negative numbers is NaN.
TEST(Calibrate, ValuesThatAreNotFiniteNameSampleAndNode) {
  Graph g = fixture();
  add(g, "log", "Log", {"conv"});
  constant(g, "w2", fixture_weights());
  add(g, "conv2", "Conv2D", {"log", "w2"}, conv_attrs());
  for (const ObserverEntry& row : all_observers())
    EXPECT_THAT(error_of([&] { calibrate(g, {}, scaled_inputs(3), quiet(row.name)); }),
                HasSubstr("sample0: node log: gives NaN or infinite values"));
}

TEST(Calibrate, DegenerateRangesAreKept) {
  Graph g = network();
  CalibrationData data = scaled_inputs(2);
  data.feed = [](size_t, Runner& runner) { std::fill_n(runner.input(0).data<float>(), 12, 0.0f); };
  for (const ObserverEntry& row : all_observers()) {
    Calibration c = calibrate(g, {}, data, quiet(row.name));
    EXPECT_TRUE(is_degenerate(c.ranges.values["x"])) << row.name;
    EXPECT_FALSE(is_degenerate(c.ranges.values["sum"])) << row.name;
  }
}

TEST(Calibrate, GraphsThatCannotBe) {
  Graph g;
  placeholder(g, "x", {1, 1, 6, 2});
  add(g, "relu", "Relu", {"x"});
  EXPECT_THAT(error_of([&] { calibrate(g, {}, scaled_inputs(1), quiet()); }), HasSubstr("no convolution or matrix product"));
  EXPECT_THAT(error_of([&] { calibrate(network(), {}, scaled_inputs(1), quiet("max")); }), HasSubstr("known: minmax"));
}

}  // namespace
}  // namespace cytodet
