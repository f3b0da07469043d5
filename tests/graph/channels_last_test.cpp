// Maps that are channels first become channels last, with the answers and names that they had.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/layout/put_channels_last.h"
#include "tests/graph/fixtures.h"
#include "tests/graph/optimize_pass.h"

namespace cytodet {
namespace {

using namespace test;

Tensor spread(Shape shape, int step) {
  Tensor t(DType::f32, std::move(shape));
  for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = static_cast<float>(i * step % 23 - 11) / 8;
  return t;
}

AttrMap first_attrs(const std::string& padding, int64_t stride) {
  AttrMap attrs;
  attrs.emplace("strides", ints({1, 1, stride, stride}));
  attrs.emplace("padding", padding);
  attrs.emplace("data_format", std::string("NCHW"));
  return attrs;
}

// x [1, 3, 9, 8] -> Conv2D -> batch norm -> Relu -> MaxPool "pool" -> DepthwiseConv2dNative -> BiasAdd -> + pool -> concat with
// its mean times it -> Conv2DBackpropInput "up"; "logits" is a product of the means. `wait`: a convolution has a control input.
Graph channels_first(bool wait = false) {
  Graph g;
  placeholder(g, "x", {1, 3, 9, 8});
  add(g, "first", "NoOp", {});
  constant(g, "w", spread({3, 3, 3, 6}, 7));
  std::vector<std::string> inputs{"x", "w"};
  if (wait) inputs.push_back("^first");
  add(g, "conv", "Conv2D", inputs, first_attrs("SAME", 1));
  for (const auto& [name, step] : {std::pair{"scale", 5}, {"offset", 3}, {"mean", 11}}) constant(g, name, spread({6}, step));
  constant(g, "variance", Tensor::from<float>({6}, {1, 2, 3, 4, 5, 6}));
  AttrMap norm;
  norm.emplace("is_training", false);
  norm.emplace("epsilon", 1e-3f);
  norm.emplace("data_format", std::string("NCHW"));
  add(g, "norm", "FusedBatchNormV3", {"conv", "scale", "offset", "mean", "variance"}, norm);
  add(g, "relu", "Relu", {"norm"});
  AttrMap pool = first_attrs("VALID", 2);
  pool.emplace("ksize", ints({1, 1, 3, 2}));
  add(g, "pool", "MaxPool", {"relu"}, pool);  // [1, 6, 4, 4]
  constant(g, "dw", spread({3, 3, 6, 1}, 13));
  add(g, "depthwise", "DepthwiseConv2dNative", {"pool", "dw"}, first_attrs("SAME", 1));
  constant(g, "b", spread({6}, 9));
  AttrMap bias;
  bias.emplace("data_format", std::string("NCHW"));
  add(g, "biased", "BiasAdd", {"depthwise", "b"}, bias);
  add(g, "sum", "AddV2", {"biased", "pool"});
  constant(g, "axes", Tensor::from<int32_t>({2}, {2, 3}));
  add(g, "mean_kept", "Mean", {"sum", "axes"}, kept_dims());
  add(g, "gated", "Mul", {"sum", "mean_kept"});
  constant(g, "axis", Tensor::scalar(int32_t{1}));
  AttrMap two;
  two.emplace("N", int64_t{2});
  two.emplace("Tidx", DType::i32);
  add(g, "joined", "ConcatV2", {"gated", "pool", "axis"}, two);
  constant(g, "sizes", Tensor::from<int32_t>({4}, {1, 5, 8, 8}));
  constant(g, "up_w", spread({2, 2, 5, 12}, 17));
  add(g, "up", "Conv2DBackpropInput", {"sizes", "up_w", "joined"}, first_attrs("SAME", 2));
  add(g, "flat", "Mean", {"joined", "axes"});
  constant(g, "m", spread({12, 4}, 5));
  add(g, "logits", "MatMul", {"flat", "m"});
  return g;
}

const std::vector<std::string> kOutputs{"up", "logits", "pool"};

void expect_same_answers(const Graph& before, const Graph& after) {
  const Tensor x = spread({1, 3, 9, 8}, 19);
  for (const std::string& name : kOutputs) {
    SCOPED_TRACE(name);
    EXPECT_EQ(*Facts(after).of(after.value(name)).shape, *Facts(before).of(before.value(name)).shape);
    expect_near(run(after, name, x), run(before, name, x), 1e-4f);
  }
}

int channels_first_nodes(const Graph& g) {
  int n = 0;
  for (NodeId id : g.ids()) n += g.node(id).attr_or<std::string>("data_format", "") == "NCHW";
  return n;
}

TEST(Pass_channels_last, OneTransposeAtEachEnd) {
  const Graph before = channels_first();
  Graph g = before;
  EXPECT_TRUE(optimize(g, "channels_last", kOutputs));
  expect_same_answers(before, g);
  EXPECT_EQ(channels_first_nodes(g), 0);
  EXPECT_EQ(count(g, "Transpose"), 3);  // of x, and of the maps that are outputs
  for (const char* name : {"conv", "depthwise"})
    EXPECT_EQ(g.node(g.require(name)).op, before.node(before.require(name)).op) << name;  // for lists of layers by name
  EXPECT_FALSE(optimize(g, "channels_last", kOutputs));
}

// Then nodes are turned where they stand.
TEST(Pass_channels_last, KeepsControlInputs) {
  const Graph before = channels_first(true);
  Graph g = before;
  EXPECT_TRUE(optimize(g, "channels_last", kOutputs));
  expect_same_answers(before, g);
  EXPECT_EQ(channels_first_nodes(g), 0);
  bool waits = false;
  for (NodeId id : g.ids()) waits |= g.node(id).op == "Conv2D" && g.node(id).controls == std::vector{g.require("first")};
  EXPECT_TRUE(waits);
}

TEST(Pass_channels_last, WhatDoesNotSayItsShapeStays) {
  Graph g;
  AttrMap open;
  open.emplace("dtype", DType::f32);
  add(g, "x", "Placeholder", {}, open);
  constant(g, "w", spread({3, 3, 3, 6}, 7));
  add(g, "y", "Conv2D", {"x", "w"}, first_attrs("SAME", 1));
  EXPECT_FALSE(optimize(g, "channels_last", {"y"}));
}

// The sizes of a deconvolution's result must name every dimension to be turned.
TEST(Pass_channels_last, DeconvolutionsOfOtherSizesStay) {
  for (const std::vector<int32_t>& sizes : {std::vector<int32_t>{}, {5}, {6, 8}, {1, 2, 6, 8, 1}}) {
    Graph g;
    placeholder(g, "x", {1, 3, 3, 4});
    constant(g, "sizes", Tensor::from<int32_t>({static_cast<int64_t>(sizes.size())}, sizes));
    constant(g, "w", spread({2, 2, 2, 3}, 7));
    add(g, "y", "Conv2DBackpropInput", {"sizes", "w", "x"}, first_attrs("SAME", 2));
    EXPECT_FALSE(optimize(g, "channels_last", {"y"})) << sizes.size();
  }
}

TEST(Pass_channels_last, Volumes) {
  Graph g;
  placeholder(g, "x", {1, 3, 4, 5, 6});
  constant(g, "w", spread({2, 3, 3, 3, 4}, 7));
  AttrMap attrs;
  attrs.emplace("strides", ints({1, 1, 2, 1, 1}));
  attrs.emplace("padding", std::string("SAME"));
  attrs.emplace("data_format", std::string("NCDHW"));
  add(g, "y", "Conv3D", {"x", "w"}, attrs);
  const Tensor x = spread({1, 3, 4, 5, 6}, 19);
  const std::vector<float> before = run(g, "y", x);
  EXPECT_TRUE(optimize(g, "channels_last", {"y"}));
  EXPECT_EQ(count(g, "Conv3D"), 1);
  expect_near(run(g, "y", x), before, 1e-4f);
}

}  // namespace
}  // namespace cytodet
