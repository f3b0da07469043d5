// Nodes that TensorFlow's remapper fused are read as what they were made of.
#include "graph/io/tensorflow/fused_ops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "graph/io/tensorflow/graph_def.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;

Attr texts(std::vector<std::string> v) {
  AttrList l;
  l.strings = std::move(v);
  return Attr(l);
}

// x [1, 2] -> `op` with weights [2, 2] (as a convolution of one pixel, or a matrix), the ops of `fused` and their inputs.
Graph fused_graph(const std::string& op, const std::vector<std::string>& fused, const std::vector<std::vector<float>>& args) {
  const bool matrix = op == "_FusedMatMul", depthwise = op == "_FusedDepthwiseConv2dNative";
  Graph g;
  placeholder(g, "x", matrix ? Shape{1, 2} : Shape{1, 1, 1, 2});
  const std::vector<float> weights{1, 2, -3, 0.5f}, per_channel{2, -1};
  constant(g, "w",
           depthwise ? Tensor::from<float>({1, 1, 2, 1}, per_channel)
                     : Tensor::from<float>(matrix ? Shape{2, 2} : Shape{1, 1, 2, 2}, weights));
  AttrMap attrs = matrix ? AttrMap{} : conv_attrs("SAME");
  attrs.emplace("fused_ops", texts(fused));
  attrs.emplace("num_args", static_cast<int64_t>(args.size()));
  attrs.emplace("epsilon", 0.25f);
  attrs.emplace("leakyrelu_alpha", 0.125f);
  std::vector<std::string> inputs{"x", "w"};
  for (size_t i = 0; i < args.size(); ++i) {
    inputs.push_back("arg" + std::to_string(i));
    constant(g, inputs.back(), Tensor::from<float>({2}, args[i]));
  }
  add(g, "y", op, inputs, attrs);
  return parse_graph(encode_graph(g), "fused.pb");
}

std::vector<float> answer(const Graph& g, bool matrix = false) {
  return run(g, "y", Tensor::from<float>(matrix ? Shape{1, 2} : Shape{1, 1, 1, 2}, {0.75f, -0.5f}));
}

// x = (0.75, -0.5) times the weights is (2.25, 1.25); with the bias (-3, 1) it is (-0.75, 2.25).
TEST(FusedOps, EveryActivation) {
  const std::map<std::string, std::function<double(double)>> acts{
      {"Relu", [](double x) { return std::max(x, 0.0); }},
      {"Relu6", [](double x) { return std::clamp(x, 0.0, 6.0); }},
      {"Elu", [](double x) { return x < 0 ? std::expm1(x) : x; }},
      {"Tanh", [](double x) { return std::tanh(x); }},
      {"Sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }},
      {"LeakyRelu", [](double x) { return x < 0 ? 0.125 * x : x; }},
      {"GeluExact", [](double x) { return x * std::erfc(-x * std::sqrt(0.5)) / 2; }},
      {"GeluApproximate", [](double x) { return x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) / 2; }},
      {"Mish", [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }},
      {"_FusedSwish", [](double x) { return x / (1 + std::exp(-x)); }},
      {"_FusedHardSwish", [](double x) { return x * std::clamp(x + 3, 0.0, 6.0) / 6; }},
  };
  for (const auto& [name, act] : acts)
    for (const char* op : {"_FusedConv2D", "_FusedMatMul"}) {
      SCOPED_TRACE(name + " of " + op);
      const Graph g = fused_graph(op, {"BiasAdd", name}, {{-3, 1}});
      const std::vector<float> y = answer(g, std::string(op) == "_FusedMatMul");
      EXPECT_NEAR(y[0], act(-0.75), 1e-6);
      EXPECT_NEAR(y[1], act(2.25), 1e-6);
      EXPECT_EQ(count(g, "Conv2D") + count(g, "MatMul"), 1);
    }
}

TEST(FusedOps, InputsGoToTheOpsThatTakeThem) {
  EXPECT_THAT(answer(fused_graph("_FusedConv2D", {"BiasAdd", "Prelu"}, {{-3, 1}, {0.5f, 0.5f}})),
              ::testing::ElementsAre(-0.375f, 2.25f));
  EXPECT_THAT(answer(fused_graph("_FusedConv2D", {"BiasAdd", "Add", "Relu"}, {{-3, 1}, {1, -3}})),
              ::testing::ElementsAre(0.25f, 0));
  EXPECT_THAT(answer(fused_graph("_FusedDepthwiseConv2dNative", {"BiasAdd"}, {{-3, 1}})), ::testing::ElementsAre(-1.5f, 1.5f));
  // scale * (x - mean) / sqrt(variance + epsilon) + offset
  const std::vector<float> y =
      answer(fused_graph("_FusedConv2D", {"FusedBatchNorm"}, {{2, 4}, {1, 0}, {0.25f, 1.25f}, {0.75f, 2}}));
  EXPECT_NEAR(y[0], 2 * (2.25 - 0.25) / 1 + 1, 1e-6);
  EXPECT_NEAR(y[1], 0, 1e-6);
}

TEST(FusedOps, BatchNormsWithASumAndAnActivation) {
  Graph g;
  placeholder(g, "x", {1, 1, 1, 2});
  const std::vector<std::vector<float>> numbers{{2, 4}, {-1, 0}, {0.25f, 1}, {0.75f, 0.75f}};
  std::vector<std::string> inputs{"x"};
  for (size_t i = 0; i < numbers.size(); ++i) {
    inputs.push_back("p" + std::to_string(i));
    constant(g, inputs.back(), Tensor::from<float>({2}, numbers[i]));
  }
  inputs.push_back("x");
  AttrMap attrs;
  attrs.emplace("is_training", false);
  attrs.emplace("epsilon", 0.25f);
  attrs.emplace("num_side_inputs", int64_t{1});
  attrs.emplace("activation_mode", std::string("Relu"));
  add(g, "y", "_FusedBatchNormEx", inputs, attrs);
  EXPECT_THAT(answer(parse_graph(encode_graph(g), "norm.pb")), ::testing::ElementsAre(0.75f, 0));  // 2 * 0.5 - 1 + 0.75; -6 - 0.5
}

// Names that oneDNN's pass gives; those of TensorFlow 1 have as many inputs more, of layouts.
TEST(MklOps, GetTheirOwnNamesBack) {
  const auto read = [](const std::string& format, bool layouts) {
    Graph g;
    std::vector<std::string> inputs{"x", "low", "high"};
    placeholder(g, "x", {1, 4, 4, 2});
    g.node(g.find("x")).attrs["dtype"] = DType::quint8;
    constant(g, "low", Tensor::scalar(0.0f));
    constant(g, "high", Tensor::scalar(6.0f));
    if (layouts) inputs.insert(inputs.end(), {"x", "low", "high"});
    AttrMap attrs{{"T", DType::quint8}, {"data_format", format}, {"is_filter_const", true}};
    add(g, "y", "_MklQuantizedMaxPool", inputs, attrs);
    return parse_graph(encode_graph(g), "mkl.pb");
  };
  const Graph g = read("NHWC", false);
  const Node& n = g.node(g.require("y"));
  EXPECT_EQ(n.op, "QuantizedMaxPool");
  EXPECT_FALSE(n.attrs.contains("data_format") || n.attrs.contains("is_filter_const")) << "TensorFlow's op has none";
  for (const Graph& stays : {read("NCHW", false), read("NHWC", true)})
    EXPECT_EQ(stays.node(stays.require("y")).op, "_MklQuantizedMaxPool");
}

TEST(FusedOps, UnknownOnesStay) {
  for (const auto& [fused, args] :
       {std::pair<std::vector<std::string>, size_t>{{"BiasAdd", "Whatever"}, 1}, {{"BiasAdd"}, 2}, {{}, 0}}) {
    const Graph g = fused_graph("_FusedConv2D", fused, std::vector<std::vector<float>>(args, {0, 0}));
    EXPECT_EQ(g.node(g.require("y")).op, "_FusedConv2D");
  }
}

}  // namespace
}  // namespace cytodet
