// Convolutions of several groups and depthwise ones with several results per channel, against the plain evals.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/exec/compare.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

struct GroupedCase {
  int64_t in_c, group, out_c, kernel, stride, dilation;
  const char* padding;
};

AttrMap attrs_of(const GroupedCase& c) {
  AttrMap attrs = conv_attrs(c.padding, c.stride);
  attrs.insert_or_assign("dilations", ints({1, c.dilation, c.dilation, 1}));
  return attrs;
}

TEST(GroupedConv, EveryGeometryGivesThePlainAnswer) {
  for (const GroupedCase& c : {GroupedCase{24, 8, 24, 3, 1, 1, "SAME"},
                               {24, 8, 48, 3, 2, 1, "SAME"},
                               {40, 20, 80, 1, 1, 1, "VALID"},
                               {36, 4, 9, 5, 1, 1, "VALID"},
                               {12, 6, 4, 3, 1, 2, "SAME"},
                               {64, 32, 70, 3, 3, 1, "VALID"}}) {
    Graph g;
    std::mt19937 random(4);
    placeholder(g, "x", {2, 11, 13, c.in_c});
    constant(g, "w", normal_tensor({c.kernel, c.kernel, c.group, c.out_c}, random, 0.2f));
    constant(g, "b", normal_tensor({c.out_c}, random));
    add(g, "conv", "Conv2D", {"x", "w"}, attrs_of(c));
    add(g, "bias", "BiasAdd", {"conv", "b"});
    add(g, "y", "Relu", {"bias"});
    const Answers a = run_both(g, {{"x", normal_tensor({2, 11, 13, c.in_c}, random)}}, {"y"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 3e-6) << c.in_c << " " << c.group << " " << c.out_c;
    EXPECT_EQ(a.kernels, std::set<std::string>{"grouped_conv"}) << c.in_c << " " << c.group << " " << c.out_c;
  }
}

// A batch norm behind joins the weights and the bias.
TEST(GroupedConv, TakesABatchNorm) {
  Graph g;
  std::mt19937 random(6);
  placeholder(g, "x", {1, 9, 9, 16});
  constant(g, "w", normal_tensor({3, 3, 8, 24}, random, 0.2f));
  for (const char* name : {"scale", "offset", "mean"}) constant(g, name, normal_tensor({24}, random));
  Tensor variance = normal_tensor({24}, random);
  for (int64_t i = 0; i < 24; ++i) variance.data<float>()[i] = std::abs(variance.data<float>()[i]) + 0.1f;
  constant(g, "variance", variance);
  add(g, "conv", "Conv2D", {"x", "w"}, conv_attrs("SAME"));
  AttrMap attrs;
  attrs.emplace("is_training", false);
  attrs.emplace("epsilon", Attr(1e-3f));
  add(g, "norm", "FusedBatchNormV3", {"conv", "scale", "offset", "mean", "variance"}, std::move(attrs));
  add(g, "y", "Relu", {"norm"});
  const Answers a = run_both(g, {{"x", normal_tensor({1, 9, 9, 16}, random)}}, {"y"});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 3e-6);
  EXPECT_EQ(a.kernels, std::set<std::string>{"grouped_conv"});
}

TEST(GroupedConv, DepthwiseWithSeveralResultsPerChannel) {
  for (const GroupedCase& c :
       {GroupedCase{19, 1, 2, 3, 1, 1, "SAME"}, {8, 1, 5, 3, 2, 1, "SAME"}, {3, 1, 32, 5, 4, 1, "VALID"}}) {
    Graph g;
    std::mt19937 random(4);
    placeholder(g, "x", {2, 11, 13, c.in_c});
    constant(g, "w", normal_tensor({c.kernel, c.kernel, c.in_c, c.out_c}, random, 0.2f));
    constant(g, "b", normal_tensor({c.in_c * c.out_c}, random));
    add(g, "conv", "DepthwiseConv2dNative", {"x", "w"}, attrs_of(c));
    add(g, "bias", "BiasAdd", {"conv", "b"});
    const Answers a = run_both(g, {{"x", normal_tensor({2, 11, 13, c.in_c}, random)}}, {"bias"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 3e-6) << c.in_c << " " << c.out_c;
    EXPECT_EQ(a.kernels, std::set<std::string>{"grouped_conv"}) << c.in_c << " " << c.out_c;
  }
}

// A group for each channel is a depthwise convolution, whose strides may differ here.
TEST(GroupedConv, OneChannelAGroupIsDepthwise) {
  const QuantParams quant{0.03f, 10, false};
  std::mt19937 random(4);
  for (const bool int8 : {false, true})
    for (const auto& [rows, columns] : {std::pair{2, 1}, {1, 2}, {1, 1}, {3, 2}})
      for (const auto& [h, w] : {std::pair{3, 3}, {5, 3}, {1, 7}}) {
        Graph g;
        const Shape in{2, 11, 13, 20};
        placeholder(g, "x", in);
        const Tensor weights = normal_tensor({h, w, 1, 20}, random, 0.3f);
        constant(g, "w", weights);
        constant(g, "b", normal_tensor({20}, random));
        AttrMap attrs = conv_attrs("SAME");
        attrs.insert_or_assign("strides", ints({1, rows, columns, 1}));
        const NodeId id = add(g, "conv", "Conv2D", {"x", "w"}, std::move(attrs));
        add(g, "bias", "BiasAdd", {"conv", "b"});
        add(g, "y", "Relu", {"bias"});
        if (int8) set_quantized(g, id, quant, quantize_weights(weights, 20, true));
        const Answers a = run_both(g, {{"x", tensor_near_q8(in, quant, random)}}, {"y"});
        const std::string what = std::to_string(rows) + "," + std::to_string(columns) + " " + std::to_string(h);
        EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-5) << what;
        EXPECT_EQ(a.kernels, std::set<std::string>{int8 ? "int8_depthwise" : "depthwise"}) << what;
      }
}

// Depthwise kernels hold as many rows of a window as common networks have, and those of groups any number.
TEST(GroupedConv, LongDepthwiseWindows) {
  std::mt19937 random(4);
  for (const bool int8 : {false, true})
    for (const auto& [h, w] : {std::pair{64, 1}, {65, 1}, {150, 1}, {1, 150}}) {
      const QuantParams quant{0.03f, 10, false};
      Graph g;
      const Shape in{1, 90, 80, 9};
      placeholder(g, "x", in);
      const Tensor weights = normal_tensor({h, w, 9, 1}, random, 0.1f);
      constant(g, "w", weights);
      const NodeId id = add(g, "y", "DepthwiseConv2dNative", {"x", "w"}, conv_attrs("SAME"));
      if (int8) set_quantized(g, id, quant, quantize_weights(weights, 9, true));
      const Answers a = run_both(g, {{"x", tensor_near_q8(in, quant, random)}}, {"y"});
      EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-5) << h << " " << w;
      EXPECT_FALSE(a.kernels.contains("plain")) << h << " " << w;
    }
}

TEST(GroupedConv, AddsAResidualAndReadsPadding) {
  Graph g;
  std::mt19937 random(6);
  placeholder(g, "x", {1, 9, 9, 16});
  placeholder(g, "r", {1, 10, 9, 16});
  constant(g, "pads", Tensor::from<int32_t>({4, 2}, {0, 0, 2, 1, 1, 1, 0, 0}));
  constant(g, "w", normal_tensor({3, 3, 4, 16}, random, 0.2f));
  add(g, "pad", "Pad", {"x", "pads"});
  add(g, "conv", "Conv2D", {"pad", "w"}, conv_attrs());
  add(g, "sum", "AddV2", {"conv", "r"});
  add(g, "y", "Relu", {"sum"});
  const Answers a =
      run_both(g, {{"x", normal_tensor({1, 9, 9, 16}, random)}, {"r", normal_tensor({1, 10, 9, 16}, random)}}, {"y"});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6);
  EXPECT_EQ(a.kernels, std::set<std::string>{"grouped_conv"});
}

// Exact products of 8-bit values, of every geometry and storage of what is read.
TEST(GroupedConv, In8Bits) {
  const QuantParams quant{0.03f, 10, false};
  std::mt19937 random(4);
  for (const GroupedCase& c : {GroupedCase{56, 8, 56, 3, 1, 1, "SAME"},
                               {24, 8, 48, 3, 2, 1, "SAME"},
                               {36, 4, 9, 5, 1, 1, "VALID"},
                               {12, 6, 4, 3, 1, 2, "SAME"},
                               {64, 32, 70, 3, 3, 1, "VALID"},
                               {192, 96, 192, 1, 1, 1, "VALID"}}) {
    Graph g;
    placeholder(g, "x", {2, 11, 13, c.in_c});
    const Tensor w = normal_tensor({c.kernel, c.kernel, c.group, c.out_c}, random, 0.2f);
    constant(g, "w", w);
    constant(g, "b", normal_tensor({c.out_c}, random));
    const NodeId id = add(g, "conv", "Conv2D", {"x", "w"}, attrs_of(c));
    add(g, "bias", "BiasAdd", {"conv", "b"});
    add(g, "relu", "Relu", {"bias"});
    const Shape result = *Facts(g).of(g.value("relu")).shape;
    placeholder(g, "r", result);
    add(g, "y", "AddV2", {"relu", "r"});
    set_quantized(g, id, quant, quantize_weights(w, c.out_c, true));
    const Answers a =
        run_both(g, {{"x", tensor_near_q8({2, 11, 13, c.in_c}, quant, random)}, {"r", normal_tensor(result, random)}}, {"y"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-5) << c.in_c << " " << c.group << " " << c.out_c;
    EXPECT_EQ(a.kernels, std::set<std::string>{"int8_grouped_conv"}) << c.in_c << " " << c.group << " " << c.out_c;
  }
}

// What the convolution reads in 8 bits is added in float.
TEST(GroupedConv, AddsWhatItReads) {
  const QuantParams quant{0.3f, 10, false};
  std::mt19937 random(5);
  Graph g;
  placeholder(g, "x", {1, 6, 7, 16});
  const Tensor w = normal_tensor({3, 3, 4, 16}, random, 0.2f);
  constant(g, "w", w);
  const NodeId id = add(g, "conv", "Conv2D", {"x", "w"}, conv_attrs("SAME"));
  add(g, "y", "AddV2", {"conv", "x"});
  set_quantized(g, id, quant, quantize_weights(w, 16, true));
  const Answers a = run_both(g, {{"x", tensor_near_q8({1, 6, 7, 16}, quant, random)}}, {"y"});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-5);
  EXPECT_TRUE(a.kernels.contains("int8_grouped_conv"));
}

TEST(GroupedConv, QuantizedMaps) {
  QuantizedNet net;
  const QuantParams quant{0.03f, 110, false};
  net.input("x", {1, 12, 12, 20});
  net.conv("first", "x", 24, 1, quant);
  const Tensor w = normal_tensor({3, 3, 8, 24}, net.random, 0.2f);
  constant(net.graph, "w", w);
  const NodeId id = add(net.graph, "grouped", "Conv2D", {"first", "w"}, conv_attrs("SAME"));
  set_quantized(net.graph, id, quant, quantize_weights(w, 24, true));
  net.conv("last", "grouped", 16, 1, quant);
  const Answers a = net.expect_answers({"last"});
  EXPECT_TRUE(a.kernels.contains("int8_grouped_conv"));
  EXPECT_FALSE(a.kernels.contains("plain"));
}

// SpaceToBatchND -> convolution -> BatchToSpaceND is a dilated convolution, with what follows it, and with a bias inside.
TEST(DilatedConv, BetweenSpaceToBatchAndBatchToSpace) {
  for (const auto& [op, inside] :
       {std::pair{"Conv2D", false}, {"Conv2D", true}, {"DepthwiseConv2dNative", false}, {"DepthwiseConv2dNative", true}})
    for (const std::vector<int32_t>& edges :
         {std::vector<int32_t>{2, 3, 2, 4, 0, 1, 0, 2}, {0, 1, 0, 0, 0, 1, 0, 0}, {2, 3, 2, 4, 1, 0, 2, 0}}) {
      Graph g;
      std::mt19937 random(6);
      placeholder(g, "x", {2, 11, 12, 8});
      constant(g, "block", Tensor::from<int32_t>({2}, {2, 2}));
      constant(g, "pads", Tensor::from<int32_t>({2, 2}, {edges[0], edges[1], edges[2], edges[3]}));
      constant(g, "crops", Tensor::from<int32_t>({2, 2}, {edges[4], edges[5], edges[6], edges[7]}));
      constant(g, "w", normal_tensor({3, 3, 8, std::string(op) == "Conv2D" ? 12 : 1}, random, 0.3f));
      constant(g, "b", normal_tensor({std::string(op) == "Conv2D" ? 12 : 8}, random));
      add(g, "apart", "SpaceToBatchND", {"x", "block", "pads"});
      add(g, "conv", op, {"apart", "w"}, conv_attrs());
      if (inside) add(g, "inner", "BiasAdd", {"conv", "b"});
      add(g, "joined", "BatchToSpaceND", {inside ? "inner" : "conv", "block", "crops"});
      add(g, "bias", "BiasAdd", {"joined", "b"});
      add(g, "y", "Relu", {"bias"});
      const Answers a = run_both(g, {{"x", normal_tensor({2, 11, 12, 8}, random)}}, {"y"});
      EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6) << op;
      EXPECT_EQ(a.steps.size(), 1u) << op;
      EXPECT_FALSE(a.kernels.contains("plain")) << op;
    }
}

}  // namespace
}  // namespace cytodet
