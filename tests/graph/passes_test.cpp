#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/error.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"
#include "tests/graph/fixtures.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

bool optimize(Graph& g, const std::string& pass, std::vector<std::string> outputs, std::vector<std::string> inputs = {}) {
  PassOptions o;
  o.interface = {std::move(inputs), std::move(outputs)};
  o.only = {pass};
  return run_passes(g, o).at(0).changed;
}

void expect_near(const std::vector<float>& got, const std::vector<float>& wanted, float tolerance) {
  EXPECT_THAT(got, Pointwise(FloatNear(tolerance), wanted));
}

std::vector<float> head(std::vector<float> v, size_t n) {
  v.resize(n);
  return v;
}

const std::vector<float> kConv = {14.7f, 20.4f, 19.1f, 27.0f, 19.7f, 28.2f, -14.7f, -20.4f, -19.1f, -27.0f};

TEST(Fixture, Convolution) { expect_near(run(fixture(), "conv"), kConv, 1e-5f); }

TEST(Pass_fold_batch_norms, Conv2D) {
  Graph g = fixture();
  constant(g, "m", Tensor::from<float>({2}, {2, 3}));
  add(g, "output", "Mul", {"conv", "m"});
  EXPECT_TRUE(optimize(g, "fold_batch_norms", {"output"}));
  expect_near(run(g, "output"), {29.4f, 61.2f, 38.2f, 81, 39.4f, 84.6f, -29.4f, -61.2f, -38.2f, -81}, 1e-5f);
  EXPECT_EQ(count(g, "Mul"), 0);
  EXPECT_EQ(g.node(g.find("output")).op, "Conv2D");
  const Tensor& w = *g.constant(g.node(g.find("output")).inputs[1]);
  expect_near({w.data<float>(), w.data<float>() + 8}, {2, 6, 6, 12, .2f, .6f, .6f, 1.2f}, 1e-6f);
}

TEST(Pass_fold_batch_norms, Conv2DSharedStaysRight) {
  Graph g = fixture();
  constant(g, "m", Tensor::from<float>({2}, {2, 3}));
  add(g, "output", "Mul", {"conv", "m"});
  add(g, "output_2", "Mul", {"conv", "m"});
  optimize(g, "fold_batch_norms", {"output", "output_2"});
  for (const char* name : {"output", "output_2"})
    expect_near(run(g, name), {29.4f, 61.2f, 38.2f, 81, 39.4f, 84.6f, -29.4f, -61.2f, -38.2f, -81}, 1e-5f);
}

TEST(Pass_fold_batch_norms, MatMul) {
  Graph g;
  placeholder(g, "x", {6, 2});
  constant(g, "w", Tensor::from<float>({2, 2}, {1, 2, .3f, .4f}));
  constant(g, "m", Tensor::from<float>({2}, {2, 3}));
  add(g, "product", "MatMul", {"x", "w"});
  add(g, "output", "Mul", {"product", "m"});
  EXPECT_TRUE(optimize(g, "fold_batch_norms", {"output"}));
  expect_near(run(g, "output", fixture_input().reshaped({6, 2})),
              {4.4f, 10.8f, 7, 18, 9.6f, 25.2f, -4.4f, -10.8f, -7, -18, -9.6f, -25.2f}, 1e-5f);
  EXPECT_EQ(count(g, "Mul"), 0);
}

TEST(Pass_fold_batch_norms, LeavesOutputsAlone) {
  Graph g = fixture();
  constant(g, "m", Tensor::from<float>({2}, {2, 3}));
  add(g, "output", "Mul", {"conv", "m"});
  EXPECT_FALSE(optimize(g, "fold_batch_norms", {"output", "conv"}));
  expect_near(run(g, "conv"), kConv, 1e-5f);
}

TEST(Pass_fuse_column_wise_mul, ConstantFirst) {
  Graph g = fixture();
  constant(g, "m", Tensor::from<float>({2}, {2, 3}));
  add(g, "output", "Mul", {"m", "conv"});
  EXPECT_TRUE(optimize(g, "fuse_column_wise_mul", {"output"}));
  expect_near(run(g, "output"), {29.4f, 61.2f, 38.2f, 81, 39.4f, 84.6f, -29.4f, -61.2f, -38.2f, -81}, 1e-5f);
}

TEST(Pass_fold_convolutionwithbias_mul, MulBehindBias) {
  Graph g = fixture();
  constant(g, "b", Tensor::from<float>({2}, {.1f, .6f}));
  constant(g, "m", Tensor::scalar(2.0f));
  add(g, "bias", "BiasAdd", {"conv", "b"});
  add(g, "output", "Mul", {"bias", "m"});
  EXPECT_TRUE(optimize(g, "fold_convolutionwithbias_mul", {"output"}));
  expect_near(run(g, "output"), {29.6f, 42, 38.4f, 55.2f, 39.6f, 57.6f, -29.2f, -39.6f, -38, -52.8f}, 2e-5f);
  EXPECT_EQ(count(g, "Mul"), 0);
  EXPECT_EQ(count(g, "BiasAdd"), 1);
}

TEST(Pass_strip_unused_nodes, MulBeyondTheOutput) {
  Graph g = fixture();
  constant(g, "b", Tensor::from<float>({2}, {.1f, .6f}));
  constant(g, "m", Tensor::scalar(2.0f));
  add(g, "output", "BiasAdd", {"conv", "b"});
  add(g, "beyond", "Mul", {"output", "m"});
  EXPECT_TRUE(optimize(g, "strip_unused_nodes", {"output"}));
  EXPECT_EQ(count(g, "Mul"), 0);
  expect_near(run(g, "output"), {14.8f, 21, 19.2f, 27.6f, 19.8f, 28.8f, -14.6f, -19.8f, -19, -26.4f}, 2e-5f);
}

TEST(Pass_fold_subdivmul_batch_norms, SubDivMulBias) {
  Graph g = fixture();
  constant(g, "mean", Tensor::from<float>({2}, {10, 20}));
  constant(g, "deviation", Tensor::from<float>({2}, {.25f, .5f}));
  constant(g, "gamma", Tensor::from<float>({2}, {1, 2}));
  constant(g, "beta", Tensor::from<float>({2}, {.1f, .6f}));
  add(g, "sub", "Sub", {"conv", "mean"});
  add(g, "div", "RealDiv", {"sub", "deviation"});
  add(g, "mul", "Mul", {"div", "gamma"});
  add(g, "output", "BiasAdd", {"mul", "beta"});
  EXPECT_TRUE(optimize(g, "fold_subdivmul_batch_norms", {"output"}));
  expect_near(run(g, "output"), {18.9f, 2.2f, 36.5f, 28.6f, 38.9f, 33.4f, -98.7f, -161, -116.3f, -187.4f}, 2e-5f * 187);
  for (const char* op : {"Sub", "RealDiv", "Mul"}) EXPECT_EQ(count(g, op), 0) << op;
  const Tensor& b = *g.constant(g.node(g.find("output")).inputs[1]);
  expect_near({b.data<float>(), b.data<float>() + 2}, {-39.9f, -79.4f}, 1e-5f);
}

Graph with_batch_norm(const std::string& op, AttrMap attrs, bool global) {
  Graph g = fixture();
  constant(g, "mean", Tensor::from<float>({2}, {10, 20}));
  constant(g, "variance", Tensor::from<float>({2}, {.25f, .5f}));
  constant(g, "beta", Tensor::from<float>({2}, {.1f, .6f}));
  constant(g, "gamma", Tensor::from<float>({2}, {1, 2}));
  std::vector<std::string> inputs = global ? std::vector<std::string>{"conv", "mean", "variance", "beta", "gamma"}
                                           : std::vector<std::string>{"conv", "gamma", "beta", "mean", "variance"};
  add(g, "output", op, inputs, std::move(attrs));
  return g;
}

AttrMap fused_attrs() {
  AttrMap a;
  a.emplace("epsilon", 1e-5f);
  a.emplace("is_training", false);
  return a;
}

TEST(Pass_fold_old_batch_norms, FusedBatchNormEveryVersion) {
  for (const char* op : {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}) {
    Graph g = with_batch_norm(op, fused_attrs(), false);
    EXPECT_TRUE(optimize(g, "fold_old_batch_norms", {"output"}));
    expect_near(run(g, "output"),
                {9.499812f, 1.731360f, 18.299636f, 20.398792f, 19.499612f, 23.792870f, -49.299012f, -113.667313f, -58.098836f,
                 -132.334746f},
                2e-5f * 132);
    EXPECT_EQ(count(g, op), 0);
  }
}

TEST(Pass_fold_old_batch_norms, TrainingFormStays) {
  AttrMap a = fused_attrs();
  a.insert_or_assign("is_training", Attr(true));
  Graph g = with_batch_norm("FusedBatchNormV3", std::move(a), false);
  EXPECT_FALSE(optimize(g, "fold_old_batch_norms", {"output"}));
}

TEST(Pass_fold_old_batch_norms, GlobalNormalizationIgnoresGamma) {
  AttrMap a;
  a.emplace("variance_epsilon", 1e-5f);
  a.emplace("scale_after_normalization", false);
  Graph g = with_batch_norm("BatchNormWithGlobalNormalization", std::move(a), true);
  EXPECT_TRUE(optimize(g, "fold_old_batch_norms", {"output"}));
  expect_near(
      run(g, "output"),
      {9.499812f, 1.165680f, 18.299636f, 10.499395f, 19.499612f, 12.196435f, -49.299012f, -56.533656f, -58.098836f, -65.867373f},
      1e-5f * 66);
}

TEST(Pass_fold_old_batch_norms, Depthwise) {
  Graph g;
  placeholder(g, "x", {1, 1, 6, 2});
  constant(g, "w", fixture_weights());
  add(g, "depthwise", "DepthwiseConv2dNative", {"x", "w"}, conv_attrs());
  expect_near(head(run(g, "depthwise"), 4), {1.2f, 2.4f, 13.5f, 18}, 1e-5f);
}

TEST(Pass_fold_old_batch_norms, DepthwiseFolded) {
  Graph g;
  placeholder(g, "x", {1, 1, 6, 2});
  constant(g, "w", fixture_weights());
  add(g, "depthwise", "DepthwiseConv2dNative", {"x", "w"}, conv_attrs());
  constant(g, "mean", Tensor::from<float>({4}, {10, 20, 30, 40}));
  constant(g, "variance", Tensor::from<float>({4}, {.25f, .5f, .75f, 1}));
  constant(g, "beta", Tensor::from<float>({4}, {.1f, .6f, 1.1f, 1.6f}));
  constant(g, "gamma", Tensor::from<float>({4}, {1, 2, 3, 4}));
  add(g, "output", "FusedBatchNorm", {"depthwise", "gamma", "beta", "mean", "variance"}, fused_attrs());
  std::vector<float> before = run(g, "output");
  EXPECT_TRUE(optimize(g, "fold_old_batch_norms", {"output"}));
  std::vector<float> after = run(g, "output");
  expect_near({after.begin(), after.begin() + 4}, {-17.499648f, -49.179820f, -56.057296f, -86.399560f}, 2e-3f);
  expect_near(after, before, 2e-3f);
  EXPECT_EQ(count(g, "FusedBatchNorm"), 0);
}

TEST(Pass_fold_old_batch_norms, ThroughConcatOfChannels) {
  Graph g;
  placeholder(g, "x", {1, 1, 6, 2});
  constant(g, "w1", Tensor::from<float>({1, 2, 2, 1}, {1, 2, 3, 4}));
  constant(g, "w2", Tensor::from<float>({1, 2, 2, 1}, {.1f, .2f, .3f, .4f}));
  constant(g, "axis", Tensor::scalar(int32_t{3}));
  add(g, "conv1", "Conv2D", {"x", "w1"}, conv_attrs());
  add(g, "conv2", "Conv2D", {"x", "w2"}, conv_attrs());
  add(g, "joined", "ConcatV2", {"conv1", "conv2", "axis"});
  constant(g, "mean", Tensor::from<float>({2}, {10, 20}));
  constant(g, "variance", Tensor::from<float>({2}, {.25f, .5f}));
  constant(g, "beta", Tensor::from<float>({2}, {.1f, .6f}));
  constant(g, "gamma", Tensor::from<float>({2}, {1, 2}));
  add(g, "output", "FusedBatchNorm", {"joined", "gamma", "beta", "mean", "variance"}, fused_attrs());
  std::vector<float> before = run(g, "output");
  EXPECT_TRUE(optimize(g, "fold_old_batch_norms", {"output"}));
  expect_near(run(g, "output"), before, 2e-3f);
  EXPECT_EQ(count(g, "FusedBatchNorm"), 0);
}

TEST(Pass_fold_old_batch_norms, ThroughConcatOfWidth) {
  Graph g;
  placeholder(g, "x", {1, 1, 12, 1});
  constant(g, "w1", Tensor::from<float>({1, 2, 1, 2}, {1, 2, 3, 4}));
  constant(g, "w2", Tensor::from<float>({1, 2, 1, 2}, {.1f, .2f, .3f, .4f}));
  constant(g, "axis", Tensor::scalar(int32_t{2}));
  add(g, "conv1", "Conv2D", {"x", "w1"}, conv_attrs());
  add(g, "conv2", "Conv2D", {"x", "w2"}, conv_attrs());
  add(g, "joined", "ConcatV2", {"conv1", "conv2", "axis"});
  constant(g, "mean", Tensor::from<float>({2}, {10, 20}));
  constant(g, "variance", Tensor::from<float>({2}, {.25f, .5f}));
  constant(g, "beta", Tensor::from<float>({2}, {.1f, .6f}));
  constant(g, "gamma", Tensor::from<float>({2}, {1, 2}));
  add(g, "output", "FusedBatchNorm", {"joined", "gamma", "beta", "mean", "variance"}, fused_attrs());
  Tensor x = fixture_input().reshaped({1, 1, 12, 1});
  std::vector<float> before = run(g, "output", x);
  EXPECT_TRUE(optimize(g, "fold_old_batch_norms", {"output"}));
  expect_near(run(g, "output", x), before, 2e-3f);
}

TEST(Pass_fold_old_batch_norms, ThroughBatchToSpace) {
  Graph g;
  placeholder(g, "x", {2, 1, 3, 2});
  constant(g, "w", fixture_weights());
  add(g, "conv", "Conv2D", {"x", "w"}, conv_attrs());
  constant(g, "block", Tensor::from<int32_t>({2}, {1, 2}));
  constant(g, "crops", Tensor::from<int32_t>({2, 2}, {0, 0, 0, 1}));
  add(g, "space", "BatchToSpaceND", {"conv", "block", "crops"});
  constant(g, "mean", Tensor::from<float>({2}, {10, 20}));
  constant(g, "variance", Tensor::from<float>({2}, {.25f, .5f}));
  constant(g, "beta", Tensor::from<float>({2}, {.1f, .6f}));
  constant(g, "gamma", Tensor::from<float>({2}, {1, 2}));
  add(g, "output", "FusedBatchNorm", {"space", "gamma", "beta", "mean", "variance"}, fused_attrs());
  Tensor x = fixture_input().reshaped({2, 1, 3, 2});
  std::vector<float> before = run(g, "output", x);
  EXPECT_TRUE(optimize(g, "fold_old_batch_norms", {"output"}));
  expect_near(run(g, "output", x), before, 2e-3f);
  EXPECT_EQ(count(g, "FusedBatchNorm"), 0);
}

TEST(Pass_fuse_decomposed_batch_norm, MulThenAddOfFoldedConstants) {
  Graph g = fixture();
  constant(g, "variance", Tensor::from<float>({2}, {.25f, .5f}));
  constant(g, "epsilon", Tensor::scalar(1e-5f));
  constant(g, "gamma", Tensor::from<float>({2}, {1, 2}));
  constant(g, "beta", Tensor::from<float>({2}, {.1f, .6f}));
  constant(g, "mean", Tensor::from<float>({2}, {10, 20}));
  add(g, "add", "Add", {"variance", "epsilon"});
  add(g, "rsqrt", "Rsqrt", {"add"});
  add(g, "scale", "Mul", {"rsqrt", "gamma"});
  add(g, "scaled", "Mul", {"conv", "scale"});
  add(g, "scaled_mean", "Mul", {"mean", "scale"});
  add(g, "shift", "Sub", {"beta", "scaled_mean"});
  add(g, "output", "Add", {"scaled", "shift"});
  std::vector<float> before = run(g, "output");
  EXPECT_TRUE(optimize(g, "fold_constants", {"output"}));
  EXPECT_TRUE(optimize(g, "fuse_decomposed_batch_norm", {"output"}));
  expect_near(run(g, "output"), before, 2e-3f);
  EXPECT_EQ(count(g, "Mul") + count(g, "Add"), 0);
}

TEST(Pass_add_to_bias, JoinsSums) {
  Graph g = fixture();
  constant(g, "a", Tensor::from<float>({2}, {1, 2}));
  constant(g, "b", Tensor::from<float>({1, 1, 1, 2}, {3, 4}));
  add(g, "first", "AddV2", {"conv", "a"});
  add(g, "output", "Add", {"b", "first"});
  EXPECT_TRUE(optimize(g, "add_to_bias", {"output"}));
  EXPECT_EQ(count(g, "BiasAdd"), 1);
  EXPECT_EQ(count(g, "Add") + count(g, "AddV2"), 0);
  expect_near(head(run(g, "output"), 2), {18.7f, 26.4f}, 1e-5f);
}

TEST(Pass_fuse_pad_and_conv, OnlyZerosAndOnlyImageSides) {
  for (int kind = 0; kind < 3; ++kind) {
    Graph g;
    placeholder(g, "x", {1, 1, 6, 2});
    constant(g, "w", fixture_weights());
    constant(g, "pads", Tensor::from<int32_t>({4, 2}, {0, 0, 1, 2, 1, 0, 0, 0}));
    if (kind == 1) constant(g, "value", Tensor::scalar(5.0f));
    if (kind == 1)
      add(g, "pad", "PadV2", {"x", "pads", "value"});
    else
      add(g, "pad", "Pad", {"x", "pads"});
    add(g, "output", "Conv2D", {"pad", "w"}, conv_attrs(kind == 2 ? "SAME" : "VALID"));
    std::vector<float> before = run(g, "output");
    EXPECT_EQ(optimize(g, "fuse_pad_and_conv", {"output"}), kind == 0);
    expect_near(run(g, "output"), before, 1e-5f);
  }
}

// x [1, 5, 6, 3] -> Split -> Conv2D 3x3 of each channel, 2 results each -> ConcatV2 "output".
Graph channel_convolutions(const std::string& padding, int64_t stride, bool swap = false, bool wait = false) {
  Graph g;
  placeholder(g, "x", {1, 5, 6, 3});
  constant(g, "axis", Tensor::scalar(int32_t{3}));
  AttrMap split;
  split.emplace("num_split", int64_t{3});
  add(g, "parts", "Split", {"axis", "x"}, split);
  add(g, "first", "NoOp", {});
  for (int c = 0; c < 3; ++c) {
    Tensor filter(DType::f32, {3, 3, 1, 2});
    for (int64_t i = 0; i < filter.size(); ++i) filter.data<float>()[i] = static_cast<float>((i * 7 + c * 5) % 11) - 5;
    const std::string number = std::to_string(c);
    constant(g, "w" + number, filter);
    std::vector<std::string> inputs{"parts:" + number, "w" + number};
    if (wait && c == 1) inputs.push_back("^first");
    add(g, "conv" + number, "Conv2D", inputs, conv_attrs(padding, stride));
  }
  add(g, "output", "ConcatV2", {"conv0", swap ? "conv2" : "conv1", swap ? "conv1" : "conv2", "axis"});
  return g;
}

TEST(Pass_merge_channel_convolutions, BecomeOneDepthwiseConvolution) {
  Tensor x(DType::f32, {1, 5, 6, 3});
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i * 13 % 17) - 8;
  for (const char* padding : {"SAME", "VALID"})
    for (int64_t stride : {1, 2}) {
      Graph g = channel_convolutions(padding, stride);
      const std::vector<float> before = run(g, "output", x);
      EXPECT_TRUE(optimize(g, "merge_channel_convolutions", {"output"}));
      expect_near(run(g, "output", x), before, 1e-5f);
      EXPECT_EQ(count(g, "Conv2D"), 0);
      EXPECT_EQ(count(g, "DepthwiseConv2dNative"), 1);
    }
}

TEST(Pass_merge_channel_convolutions, OnlyInOrderAndOnlyWhatNothingElseNeeds) {
  Graph swapped = channel_convolutions("SAME", 1, true), waiting = channel_convolutions("SAME", 1, false, true),
        read = channel_convolutions("SAME", 1);
  EXPECT_FALSE(optimize(swapped, "merge_channel_convolutions", {"output"}));
  EXPECT_FALSE(optimize(waiting, "merge_channel_convolutions", {"output"}));
  EXPECT_FALSE(optimize(read, "merge_channel_convolutions", {"output", "conv1"}));
}

TEST(Pass_remove_training_nodes, KeepsOutputsAndControlEdges) {
  Graph g = fixture();
  add(g, "wait", "NoOp", {});
  add(g, "id1", "Identity", {"conv"});
  add(g, "id2", "Identity", {"id1", "^wait"});
  add(g, "checked", "CheckNumerics", {"id2"});
  add(g, "relu", "Relu", {"checked"});
  add(g, "output", "Identity", {"relu"});
  EXPECT_TRUE(optimize(g, "remove_training_nodes", {"output"}));
  EXPECT_EQ(count(g, "Identity"), 1);
  EXPECT_EQ(count(g, "CheckNumerics"), 0);
  EXPECT_EQ(g.node(g.find("relu")).inputs[0], (Value{g.find("conv"), 0}));
  EXPECT_THAT(g.node(g.find("relu")).controls, ::testing::ElementsAre(g.find("wait")));
}

TEST(Pass_remove_training_nodes, IdentityNEverySlot) {
  Graph g = fixture();
  constant(g, "c", Tensor::scalar(1.0f));
  add(g, "both", "IdentityN", {"c", "conv"});
  add(g, "output", "Mul", {"both:1", "both:0"});
  EXPECT_TRUE(optimize(g, "remove_training_nodes", {"output"}));
  expect_near(run(g, "output"), kConv, 1e-5f);
  EXPECT_EQ(count(g, "IdentityN"), 0);
}

TEST(Pass_strip_unused_nodes, InputInsideBecomesPlaceholder) {
  Graph g = fixture();
  add(g, "relu", "Relu", {"conv"});
  add(g, "output", "Neg", {"relu"});
  EXPECT_TRUE(optimize(g, "strip_unused_nodes", {"output"}, {"relu"}));
  EXPECT_EQ(g.node(g.find("relu")).op, "Placeholder");
  EXPECT_EQ(g.node(g.find("relu")).attr<DType>("dtype"), DType::f32);
  EXPECT_EQ(g.find("conv"), -1);
}

TEST(Pass_strip_unused_nodes, DanglingInputStays) {
  Graph g = fixture();
  placeholder(g, "dangling", {1});
  optimize(g, "strip_unused_nodes", {"conv"}, {"dangling", "x"});
  EXPECT_GE(g.find("dangling"), 0);
}

TEST(Pass_fold_switch_merge, ConstantPredicate) {
  for (bool taken : {true, false}) {
    Graph g = fixture();
    constant(g, "predicate", Tensor::scalar(taken));
    add(g, "switch", "Switch", {"conv", "predicate"});
    add(g, "yes", "Neg", {"switch:1"});
    add(g, "no", "Abs", {"switch:0"});
    add(g, "output", "Merge", {"no", "yes"});
    EXPECT_TRUE(optimize(g, "fold_switch_merge", {"output"}));
    EXPECT_EQ(count(g, "Switch") + count(g, "Merge"), 0);
    EXPECT_NEAR(run(g, "output")[0], taken ? -14.7f : 14.7f, 1e-5f);
  }
}

// Constant branches live by their control edges; the removal of Identity nodes leaves such edges on the Merge as well.
TEST(Pass_fold_switch_merge, ConstantBranches) {
  for (bool taken : {true, false}) {
    Graph g;
    constant(g, "predicate", Tensor::scalar(taken));
    add(g, "switch", "Switch", {"predicate", "predicate"});
    for (const char* way : {"yes", "no"}) {
      const std::string pivot = std::string(way) + "/pivot";
      add(g, pivot, "Identity", {way == std::string("yes") ? "switch:1" : "switch:0"});
      constant(g, way, Tensor::scalar(way == std::string("yes") ? 1.0f : 2.0f));
      g.node(g.require(way)).controls = {g.require(pivot)};
    }
    add(g, "output", "Merge", {"no", "yes"});
    g.node(g.require("output")).controls = {g.require("yes/pivot"), g.require("no/pivot")};
    EXPECT_TRUE(optimize(g, "fold_switch_merge", {"output"}));
    EXPECT_EQ(count(g, "Switch") + count(g, "Merge"), 0);
    EXPECT_EQ(run(g, "output")[0], taken ? 1 : 2);
  }
}

TEST(Pass_fold_switch_merge, FedPredicateStays) {
  Graph g = fixture();
  AttrMap a;
  a.emplace("dtype", DType::boolean);
  add(g, "predicate", "Placeholder", {}, std::move(a));
  add(g, "switch", "Switch", {"conv", "predicate"});
  add(g, "yes", "Neg", {"switch:1"});
  add(g, "output", "Merge", {"switch:0", "yes"});
  EXPECT_FALSE(optimize(g, "fold_switch_merge", {"output"}));
  EXPECT_EQ(count(g, "Switch"), 1);
}

TEST(Pass_split_shared_constants, OneEach) {
  Graph g = fixture();
  add(g, "conv_2", "Conv2D", {"x", "w"}, conv_attrs());
  add(g, "output", "AddV2", {"conv", "conv_2"});
  EXPECT_TRUE(optimize(g, "split_shared_constants", {"output"}));
  EXPECT_GE(g.find("w_2"), 0);
  EXPECT_NE(g.node(g.find("conv")).inputs[1], g.node(g.find("conv_2")).inputs[1]);
}

TEST(Pass_fold_constants, KeepsFedAndRandomNodes) {
  Graph g = fixture();
  constant(g, "a", Tensor::from<float>({2}, {1, 2}));
  constant(g, "b", Tensor::from<float>({2}, {3, 4}));
  add(g, "sum", "AddV2", {"a", "b"});
  add(g, "default", "PlaceholderWithDefault", {"sum"});
  add(g, "scaled", "Mul", {"conv", "sum"});
  add(g, "output", "Mul", {"scaled", "default"});
  EXPECT_TRUE(optimize(g, "fold_constants", {"output"}));
  EXPECT_EQ(g.node(g.find("sum")).op, "Const");
  EXPECT_EQ(g.node(g.find("default")).op, "PlaceholderWithDefault");
}

TEST(Pass_remove_no_ops, MulByOne) {
  Graph g = fixture();
  constant(g, "one", Tensor::scalar(1.0f));
  constant(g, "ones", Tensor::from<float>({3, 1, 1, 1}, {1, 1, 1}));
  add(g, "same", "Mul", {"one", "conv"});
  add(g, "wide", "Mul", {"same", "ones"});
  add(g, "output", "Neg", {"wide"});
  EXPECT_TRUE(optimize(g, "remove_no_ops", {"output"}));
  EXPECT_EQ(count(g, "Mul"), 1) << "the widening one must stay";
}

// Functions that are inlined, and files, may name a control input twice.
TEST(Pass_remove_training_nodes, WhatIsWaitedForTwiceIsLetGoTwice) {
  Graph g = fixture();
  add(g, "through", "Identity", {"conv"});
  add(g, "output", "Relu", {"conv", "^through", "^through"});
  EXPECT_TRUE(optimize(g, "remove_training_nodes", {"output"}));
  EXPECT_EQ(g.node(g.require("output")).controls, std::vector<NodeId>{g.require("conv")});
  EXPECT_NO_THROW(g.check());
}

TEST(Pass_inline_functions, NothingWithoutLibrary) {
  Graph g = fixture();
  EXPECT_FALSE(optimize(g, "inline_functions", {"conv"}));
}

TEST(PassTable, EveryPassHasATestOfItsName) {
  std::set<std::string> suites;
  const auto& unit = *::testing::UnitTest::GetInstance();
  for (int i = 0; i < unit.total_test_suite_count(); ++i) suites.insert(unit.GetTestSuite(i)->name());
  for (const Pass& p : all_passes()) EXPECT_TRUE(suites.contains(std::string("Pass_") + p.name)) << p.name;
}

TEST(PassRunner, UnknownNamesAreUsageErrors) {
  Graph g = fixture();
  PassOptions o;
  o.only = {"fold_constant"};
  try {
    run_passes(g, o);
    FAIL();
  } catch (const UsageError& e) {
    EXPECT_THAT(e.what(), HasSubstr("did you mean fold_constants"));
  }
  PassOptions p;
  p.interface.outputs = {"cnv"};
  EXPECT_THROW(run_passes(g, p), Error);
}

TEST(PassRunner, DetectorLosesEveryBatchNormAndIsStable) {
  Graph g = read_graph(cytodet::source_dir() + "/models/efficientdet/efficientdet_d0_blood.pb");
  PassOptions o;
  o.interface.inputs = {"image"};
  for (int level = 3; level <= 7; ++level) {
    o.interface.outputs.push_back("class_logits_" + std::to_string(level));
    o.interface.outputs.push_back("box_deltas_" + std::to_string(level));
  }
  run_passes(g, o);
  EXPECT_EQ(count(g, "FusedBatchNormV3") + count(g, "IdentityN") + count(g, "CheckNumerics") + count(g, "Relu"), 0);
  EXPECT_EQ(count(g, "Placeholder"), 1);
  EXPECT_EQ(count(g, "Conv2D"), 134);
  std::string once = encode_graph(g);
  for (const PassReport& r : run_passes(g, o))
    EXPECT_TRUE(!r.changed || r.pass == "split_shared_constants") << r.pass << " changed an optimized graph";
}

}  // namespace
}  // namespace cytodet
