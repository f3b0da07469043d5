// Networks unlike the shipped one: each is calibrated, quantized, written for TensorFlow and read back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "graph/passes/pass.h"
#include "graph/passes/tf_int8.h"
#include "quant/calibrate.h"
#include "quant/graph_hash.h"
#include "quant/quantize.h"
#include "quant/sensitivity.h"
#include "tests/graph/fixtures.h"
#include "tests/uniform_tensor.h"

namespace cytodet {
namespace {

using namespace test;

struct WholeNetwork {
  const char* name;
  std::map<std::string, Shape> inputs;
  std::function<void(Graph&)> build;
  int int8 = 1;                     // layers
  const char* why = "";             // of a layer that stays in float
  bool elementwise = false;         // also quantized with elementwise ops
  std::set<std::string> kernels{};  // that are among those which run it
};

void PrintTo(const WholeNetwork& n, std::ostream* out) { *out << n.name; }

void conv(Graph& g, const std::string& name, const std::string& x, Shape filter, AttrMap attrs, const char* op = "Conv2D") {
  const int64_t channels = std::string(op) == "Conv2D" ? filter[3] : filter[2] * filter[3];
  constant(g, name + "/w", uniform_tensor(filter, static_cast<unsigned>(name.size() + filter[0])));
  constant(g, name + "/b", uniform_tensor({channels}, 7, -.2f, .2f));
  add(g, name + "/conv", op, {x, name + "/w"}, std::move(attrs));
  add(g, name, "BiasAdd", {name + "/conv", name + "/b"});
}

AttrMap dilated(int64_t d) {
  AttrMap a = conv_attrs("SAME");
  a.emplace("dilations", ints({1, d, d, 1}));
  return a;
}

void matmul(Graph& g, const std::string& name, const std::string& x, const std::string& w, bool ta, bool tb) {
  AttrMap a;
  a.emplace("transpose_a", ta);
  a.emplace("transpose_b", tb);
  add(g, name, "MatMul", {x, w}, a);
}

const WholeNetwork kNetworks[] = {
    {"valid_batch3",
     {{"x", {3, 9, 8, 5}}},
     [](Graph& g) {
       conv(g, "y", "x", {3, 3, 5, 7}, conv_attrs());
     }},
    {"dilated",
     {{"x", {1, 12, 11, 4}}},
     [](Graph& g) {
       conv(g, "y", "x", {3, 3, 4, 6}, dilated(2));
     }},
    {"multiplier",
     {{"x", {2, 9, 9, 6}}},
     [](Graph& g) {
       conv(g, "y", "x", {3, 3, 6, 3}, conv_attrs("SAME"), "DepthwiseConv2dNative");
     }},
    {"depthwise_valid_stride2",
     {{"x", {1, 9, 10, 5}}},
     [](Graph& g) {
       conv(g, "y", "x", {5, 5, 5, 1}, conv_attrs("VALID", 2), "DepthwiseConv2dNative");
     }},
    {"one_by_one_maps",
     {{"x", {4, 1, 1, 17}}},
     [](Graph& g) {
       conv(g, "y", "x", {1, 1, 17, 3}, conv_attrs("SAME"));
     }},
    {"chain",
     {{"x", {1, 10, 10, 3}}},
     [](Graph& g) {
       conv(g, "a", "x", {3, 3, 3, 9}, conv_attrs("SAME", 2));
       add(g, "s", "Sigmoid", {"a"});
       add(g, "swish", "Mul", {"a", "s"});
       conv(g, "b", "swish", {3, 3, 9, 1}, conv_attrs("SAME"), "DepthwiseConv2dNative");
       add(g, "r", "Relu6", {"b"});
       conv(g, "y", "r", {1, 1, 9, 4}, conv_attrs("VALID"));
     },
     3},
    {"two_inputs",
     {{"x", {2, 6, 6, 4}}, {"z", {2, 6, 6, 4}}},
     [](Graph& g) {
       conv(g, "a", "x", {3, 3, 4, 5}, conv_attrs("SAME"));
       conv(g, "b", "z", {1, 1, 4, 5}, conv_attrs("SAME"));
       add(g, "y", "AddV2", {"a", "b"});
     },
     2},
    {"matmuls",
     {{"x", {6, 20}}},
     [](Graph& g) {
       constant(g, "w1", uniform_tensor({20, 12}, 1));
       matmul(g, "h", "x", "w1", false, false);
       add(g, "r", "Relu", {"h"});
       constant(g, "w2", uniform_tensor({5, 12}, 2));
       matmul(g, "y", "r", "w2", false, true);
     },
     2},
    {"transposed_input",
     {{"x", {20, 6}}},
     [](Graph& g) {
       constant(g, "w", uniform_tensor({20, 4}, 1));
       matmul(g, "t", "x", "w", true, false);
       constant(g, "w2", uniform_tensor({4, 4}, 3));
       matmul(g, "y", "t", "w2", false, false);
     },
     1,
     "it transposes its input"},
    {"channels_first_between_transposes",
     {{"x", {1, 4, 9, 7}}},
     [](Graph& g) {
       constant(g, "last", Tensor::from<int32_t>({4}, {0, 2, 3, 1}));
       constant(g, "first", Tensor::from<int32_t>({4}, {0, 3, 1, 2}));
       AttrMap a;
       a.emplace("Tperm", DType::i32);
       add(g, "nhwc", "Transpose", {"x", "last"}, a);
       conv(g, "c", "nhwc", {3, 3, 4, 6}, conv_attrs("SAME"));
       add(g, "y", "Transpose", {"c", "first"}, a);
     }},
    {"channels_first",
     {{"x", {2, 5, 9, 8}}},
     [](Graph& g) {
       AttrMap a = conv_attrs("EXPLICIT");
       a["data_format"] = std::string("NCHW");
       a["strides"] = ints({1, 1, 2, 1});
       a["explicit_paddings"] = ints({0, 0, 0, 0, 1, 2, 0, 1});
       constant(g, "w", uniform_tensor({3, 3, 5, 8}, 5));
       add(g, "c", "Conv2D", {"x", "w"}, a);
       AttrMap d = conv_attrs("SAME");
       d["data_format"] = std::string("NCHW");
       constant(g, "w2", uniform_tensor({3, 3, 8, 1}, 6));
       add(g, "y", "DepthwiseConv2dNative", {"c", "w2"}, d);
     },
     2},
    {"dead_channels",
     {{"x", {1, 8, 8, 4}}},
     [](Graph& g) {
       Tensor w = uniform_tensor({3, 3, 4, 6}, 5), mask = uniform_tensor({4}, 0, 1, 1);
       for (int64_t i = 0; i < w.size(); i += 6) w.data<float>()[i] = 0;  // an output channel
       mask.data<float>()[2] = 0;                                         // an input channel
       constant(g, "mask", mask);
       add(g, "masked", "Mul", {"x", "mask"});
       constant(g, "w", w);
       add(g, "y", "Conv2D", {"masked", "w"}, conv_attrs("SAME"));
     }},
    {"dead_depthwise",
     {{"x", {1, 8, 8, 4}}},
     [](Graph& g) {
       Tensor w = uniform_tensor({3, 3, 4, 1}, 5);
       for (int64_t i = 1; i < w.size(); i += 4) w.data<float>()[i] = 0;
       for (int64_t i = 2; i < w.size(); i += 4) w.data<float>()[i] *= 1e-20f;
       constant(g, "w", w);
       add(g, "y", "DepthwiseConv2dNative", {"x", "w"}, conv_attrs("SAME"));
     }},
};

void pool(Graph& g, const std::string& name, const std::string& x, const char* op, int64_t side, int64_t stride) {
  AttrMap attrs = conv_attrs("SAME", stride);
  attrs["ksize"] = ints({1, side, side, 1});
  add(g, name, op, {x}, std::move(attrs));
}

void resize(Graph& g, const std::string& name, const std::string& x, const char* op, int32_t height, int32_t width) {
  constant(g, name + "/size", Tensor::from<int32_t>({2}, {height, width}));
  add(g, name, op, {x, name + "/size"});
}

const WholeNetwork kRowNetworks[] = {
    {"average_pool",
     {{"x", {2, 9, 10, 5}}},
     [](Graph& g) {
       conv(g, "a", "x", {3, 3, 5, 19}, conv_attrs("SAME"));
       add(g, "r", "Relu", {"a"});
       pool(g, "p", "r", "AvgPool", 3, 2);
       conv(g, "y", "p", {1, 1, 19, 4}, conv_attrs("SAME"));
     },
     3,
     "",
     false,
     {"int8_avg_pool"}},
    {"mean_and_matmul",
     {{"x", {2, 9, 10, 5}}},
     [](Graph& g) {
       conv(g, "a", "x", {3, 3, 5, 19}, conv_attrs("SAME"));
       constant(g, "axes", Tensor::from<int32_t>({2}, {1, 2}));
       add(g, "m", "Mean", {"a", "axes"});
       constant(g, "w", uniform_tensor({19, 5}, 2));
       matmul(g, "y", "m", "w", false, false);
     },
     3,
     "",
     false,
     {"int8_mean"}},
    {"bilinear",
     {{"x", {1, 7, 6, 4}}},
     [](Graph& g) {
       conv(g, "a", "x", {1, 1, 4, 18}, conv_attrs("SAME"));
       resize(g, "up", "a", "ResizeBilinear", 14, 15);
       conv(g, "y", "up", {3, 3, 18, 1}, conv_attrs("SAME"), "DepthwiseConv2dNative");
     },
     3,
     "",
     false,
     {"int8_resize_bilinear"}},
    {"pool_beside_layers",
     {{"x", {1, 8, 8, 4}}},
     [](Graph& g) {
       conv(g, "a", "x", {1, 1, 4, 8}, conv_attrs("SAME"));
       pool(g, "p", "a", "AvgPool", 3, 1);
       conv(g, "b", "p", {1, 1, 8, 6}, conv_attrs("SAME"));
       conv(g, "c", "a", {1, 1, 8, 6}, conv_attrs("SAME"));
       constant(g, "axis", Tensor::scalar(int32_t{3}));
       add(g, "y", "ConcatV2", {"b", "c", "axis"});
     },
     4,
     "",
     false,
     {"int8_avg_pool"}},
    {"pool_that_shares_its_input",
     {{"x", {1, 8, 8, 4}}},
     [](Graph& g) {
       conv(g, "a", "x", {1, 1, 4, 8}, conv_attrs("SAME"));
       pool(g, "p", "a", "AvgPool", 3, 1);
       conv(g, "b", "p", {1, 1, 8, 8}, conv_attrs("SAME"));
       add(g, "y", "AddV2", {"b", "a"});
     },
     2,
     "",
     false,
     {"avg_pool"}},
    {"residual",
     {{"x", {1, 12, 11, 6}}},
     [](Graph& g) {
       conv(g, "a", "x", {3, 3, 6, 16}, conv_attrs("SAME"));
       conv(g, "b", "a", {1, 1, 16, 16}, conv_attrs("SAME"));
       add(g, "s", "AddV2", {"b", "a"});
       conv(g, "y", "s", {1, 1, 16, 4}, conv_attrs("SAME"));
     },
     4,
     "",
     true},
    {"weighted_sum_and_product",
     {{"x", {1, 8, 12, 5}}},
     [](Graph& g) {
       conv(g, "a", "x", {3, 3, 5, 12}, conv_attrs("SAME"));
       conv(g, "b", "x", {3, 3, 5, 12}, conv_attrs("SAME", 2));
       pool(g, "max", "a", "MaxPool", 2, 1);
       resize(g, "up", "b", "ResizeNearestNeighbor", 8, 12);
       constant(g, "half", Tensor::scalar(.5f));
       add(g, "up/half", "Mul", {"up", "half"});
       add(g, "s", "AddV2", {"max", "up/half"});
       add(g, "p", "Mul", {"s", "a"});
       conv(g, "y", "p", {1, 1, 12, 4}, conv_attrs("SAME"));
     },
     5,
     "",
     true,
     {"int8_weighted_sum", "int8_product"}},
    {"activation_alone",
     {{"x", {1, 8, 12, 5}}},
     [](Graph& g) {
       conv(g, "a", "x", {3, 3, 5, 12}, conv_attrs("SAME"));
       pool(g, "max", "a", "MaxPool", 2, 2);
       add(g, "s", "Sigmoid", {"max"});
       add(g, "swish", "Mul", {"max", "s"});
       conv(g, "y", "swish", {1, 1, 12, 4}, conv_attrs("SAME"));
     },
     3,
     "",
     true,
     {"int8_activation"}},
};

class Networks : public ::testing::TestWithParam<WholeNetwork> {};

TEST_P(Networks, Keep25Decibels) {
  const WholeNetwork& n = GetParam();
  Graph graph;
  PlanOptions plan;
  PassOptions passes;
  for (const auto& [name, shape] : n.inputs) {
    placeholder(graph, name, shape);
    passes.interface.inputs.push_back(name);
    plan.input_shapes[name] = shape;
  }
  n.build(graph);
  plan.outputs = passes.interface.outputs = {"y"};
  run_passes(graph, passes);
  CalibrationData data{"noise", {"a", "b"}, [&](size_t sample, Runner& runner) {
                         for (size_t i = 0; i < n.inputs.size(); ++i)
                           runner.set_input(static_cast<int>(i), uniform_tensor(runner.plan().inputs()[i].shape,
                                                                                static_cast<unsigned>(10 * sample + i), -.5f, 2));
                       }};
  CalibrateOptions quiet;
  quiet.quiet = true;
  const Ranges ranges = calibrate(graph, plan, data, quiet).ranges;
  const OutputSqnr outputs(graph, plan, data);
  for (bool reduce_range : {false, true})
    for (bool symmetric : {false, true}) {
      Graph g = graph;
      QuantizeOptions options;
      options.reduce_range = reduce_range;
      options.symmetric = symmetric;
      options.elementwise = n.elementwise;
      const QuantizeReport report = quantize(g, ranges, options);
      EXPECT_EQ(report.int8_layers(), n.int8);
      for (const QuantizedLayer& l : report.layers) EXPECT_EQ(l.why, l.precision == LayerPrecision::int8 ? "" : n.why);
      std::set<std::string> kernels;
      for (const StepInfo& s : Plan::compile(g, plan)->steps()) kernels.insert(s.kernel);
      EXPECT_THAT(kernels, ::testing::IsSupersetOf(n.kernels));
      EXPECT_FALSE(kernels.contains("plain") && !n.kernels.empty());
      const double db = outputs.of(g);
      EXPECT_GE(db, reduce_range || symmetric ? 25 : 30) << reduce_range << symmetric;
      // To TensorFlow's form and back: the same network.
      Graph file = g;
      to_tensorflow_int8(file, output_ranges(file, ranges, {"y"}), {passes.interface, {}});
      run_passes(file, passes);
      EXPECT_TRUE(has_quantized(file));
      EXPECT_GE(outputs.of(file), 25);
    }
}
INSTANTIATE_TEST_SUITE_P(Kinds, Networks, ::testing::ValuesIn(kNetworks), [](const auto& given) { return given.param.name; });
INSTANTIATE_TEST_SUITE_P(RowOps, Networks, ::testing::ValuesIn(kRowNetworks), [](const auto& given) { return given.param.name; });

// What the elementwise networks are without that: their sums read floats.
TEST(Elementwise, OnlyWhenAsked) {
  for (const WholeNetwork& n : kRowNetworks) {
    if (!n.elementwise) continue;
    SCOPED_TRACE(n.name);
    Graph g;
    placeholder(g, "x", n.inputs.at("x"));
    n.build(g);
    Ranges ranges;
    ranges.graph_hash = graph_hash(g);
    for (const std::string& value : values_of_layers(g)) ranges.values[value] = {-1, 2, {}, {}, {}};
    Graph asked = g;
    QuantizeOptions options;
    EXPECT_LT(quantize(g, ranges, options).int8_layers(), n.int8);
    options.elementwise = true;
    EXPECT_EQ(quantize(asked, ranges, options).int8_layers(), n.int8);
  }
}

TEST(RowOps, StayInFloatWhereExcludedOrWithoutARange) {
  Graph g;
  placeholder(g, "x", {2, 9, 10, 5});
  kRowNetworks[0].build(g);
  Ranges ranges;
  ranges.graph_hash = graph_hash(g);
  for (const char* value : {"x", "r", "p"}) ranges.values[value] = {-1, 2, {}, {}, {}};
  const auto why = [&](const Ranges& r, const QuantizeOptions& options) {
    Graph copy = g;
    const QuantizeReport report = quantize(copy, r, options);
    EXPECT_EQ(report.layers.back().name, "p");
    return report.layers.back().why;
  };
  QuantizeOptions options;
  EXPECT_EQ(why(ranges, options), "");
  options.exclude_nodes = {"p"};
  EXPECT_EQ(why(ranges, options), "excluded by name");
  options.exclude_nodes = {};
  options.exclude_ops = {"AvgPool"};
  EXPECT_EQ(why(ranges, options), "excluded by op");
  options.exclude_ops = {};
  ranges.values["r"] = {0, 0, {}, {}, {}};
  EXPECT_EQ(why(ranges, options), "its input was one number in calibration");
  ranges.values.erase("r");
  EXPECT_EQ(why(ranges, options), "no range of its input r");
}

TEST(ReduceRange, DenseFiltersKeepTo64) {
  Graph g;
  placeholder(g, "x", {1, 8, 8, 4});
  conv(g, "a", "x", {3, 3, 4, 6}, conv_attrs("SAME"));
  conv(g, "y", "a", {3, 3, 6, 1}, conv_attrs("SAME"), "DepthwiseConv2dNative");
  Ranges ranges;
  ranges.graph_hash = graph_hash(g);
  ranges.values["x"] = ranges.values["a"] = {-1, 2, {}, {}, {}};
  QuantizeOptions options;
  options.reduce_range = true;
  quantize(g, ranges, options);
  auto greatest = [&](const char* name) {
    const std::optional<QuantizedConv> layer = quantized_conv(g, g.require(name));
    int largest = 0;
    for (int8_t v : layer->weights.values.span<int8_t>()) largest = std::max(largest, std::abs(v));
    return largest;
  };
  EXPECT_LE(greatest("a/conv"), 64);
  EXPECT_GT(greatest("a/conv"), 32) << "7 bits are used";
  EXPECT_EQ(greatest("y/conv"), 127);
}

}  // namespace
}  // namespace cytodet
