// Batch norms in every form, and sums and products by channel, folded into the linear op before them.
#include "tests/graph/optimize_pass.h"

namespace cytodet {
namespace {

using namespace test;

std::vector<float> head(std::vector<float> v, size_t n) {
  v.resize(n);
  return v;
}

TEST(Fixture, Convolution) { expect_near(run(fixture(), "conv"), kFixtureConv, 1e-5f); }

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
  expect_near(run(g, "conv"), kFixtureConv, 1e-5f);
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

}  // namespace
}  // namespace cytodet
