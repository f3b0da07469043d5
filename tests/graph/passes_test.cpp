#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"
#include "tests/graph/fixtures.h"
#include "tests/graph/optimize_pass.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::HasSubstr;

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

TEST(Pass_update_ops, ConcatHasItsAxisLast) {
  Graph g;
  placeholder(g, "x", {1, 1, 6, 2});
  constant(g, "axis", Tensor::scalar(int32_t{3}));
  AttrMap attrs;
  attrs.emplace("N", int64_t{2});
  add(g, "twice", "AddV2", {"x", "x"});
  add(g, "output", "Concat", {"axis", "x", "twice"}, attrs);
  const std::vector<float> before = run(g, "output");
  EXPECT_TRUE(optimize(g, "update_ops", {"output"}));
  EXPECT_EQ(run(g, "output"), before);
  EXPECT_EQ(g.node(g.require("output")).op, "ConcatV2");
  EXPECT_FALSE(optimize(g, "update_ops", {"output"}));
}

// x [1, 7, 8, 2] -> SpaceToBatchND -> Conv2D 3x3 VALID -> BatchToSpaceND "output".
Graph convolution_between_batches(const std::vector<int32_t>& pads, const std::vector<int32_t>& crops,
                                  const std::string& padding = "VALID", bool wait = false) {
  Graph g;
  placeholder(g, "x", {1, 7, 8, 2});
  constant(g, "block", Tensor::from<int32_t>({2}, {2, 3}));
  constant(g, "pads", Tensor::from<int32_t>({2, 2}, pads));
  constant(g, "crops", Tensor::from<int32_t>({2, 2}, crops));
  add(g, "first", "NoOp", {});
  add(g, "apart", "SpaceToBatchND", {"x", "block", "pads"});
  Tensor filter(DType::f32, {3, 3, 2, 4});
  for (int64_t i = 0; i < filter.size(); ++i) filter.data<float>()[i] = static_cast<float>(i * 7 % 11) - 5;
  constant(g, "w", filter);
  std::vector<std::string> inputs{"apart", "w"};
  if (wait) inputs.push_back("^first");
  add(g, "conv", "Conv2D", inputs, conv_attrs(padding));
  add(g, "output", "BatchToSpaceND", {"conv", "block", "crops"});
  return g;
}

TEST(Pass_merge_dilated_convolutions, EveryPadding) {
  Tensor x(DType::f32, {1, 7, 8, 2});
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i * 13 % 17) - 8;
  struct Case {
    std::vector<int32_t> pads, crops;
    const char* padding;
  };
  for (const Case& c : {Case{{2, 3, 3, 4}, {0, 1, 0, 1}, "SAME"},
                        {{0, 1, 0, 1}, {0, 1, 0, 1}, "VALID"},
                        {{4, 1, 1, 6}, {1, 0, 0, 2}, "EXPLICIT"}}) {
    Graph g = convolution_between_batches(c.pads, c.crops);
    const std::vector<float> before = run(g, "output", x);
    EXPECT_TRUE(optimize(g, "merge_dilated_convolutions", {"output"}));
    expect_near(run(g, "output", x), before, 1e-5f);
    EXPECT_EQ(count(g, "SpaceToBatchND") + count(g, "BatchToSpaceND"), 0);
    EXPECT_EQ(g.node(g.find("output")).attr_or<std::string>("padding", ""), c.padding);
  }
}

TEST(Pass_merge_dilated_convolutions, KeepsPaddedWaitingCroppedOrFetchedConvolutions) {
  Graph same = convolution_between_batches({2, 3, 3, 4}, {0, 1, 0, 1}, "SAME"),
        waiting = convolution_between_batches({2, 3, 3, 4}, {0, 1, 0, 1}, "VALID", true),
        read = convolution_between_batches({2, 3, 3, 4}, {0, 1, 0, 1}),
        cropped = convolution_between_batches({0, 1, 0, 1}, {1, 1, 0, 1});  // more than was padded
  for (Graph* g : {&same, &waiting, &cropped}) EXPECT_FALSE(optimize(*g, "merge_dilated_convolutions", {"output"}));
  EXPECT_FALSE(optimize(read, "merge_dilated_convolutions", {"output", "conv"}));
}

// x [1, 5, 6, 3 * channels] -> Split -> Conv2D 3x3 of each part, 2 results each -> ConcatV2 "output".
Graph channel_convolutions(const std::string& padding, int64_t stride, bool swap = false, bool wait = false,
                           int64_t channels = 1) {
  Graph g;
  placeholder(g, "x", {1, 5, 6, 3 * channels});
  constant(g, "axis", Tensor::scalar(int32_t{3}));
  AttrMap split;
  split.emplace("num_split", int64_t{3});
  add(g, "parts", "Split", {"axis", "x"}, split);
  add(g, "first", "NoOp", {});
  for (int c = 0; c < 3; ++c) {
    Tensor filter(DType::f32, {3, 3, channels, 2});
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

TEST(Pass_merge_channel_convolutions, PartsOfSeveralChannelsBecomeGroups) {
  Tensor x(DType::f32, {1, 5, 6, 12});
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i * 13 % 17) - 8;
  for (int64_t stride : {1, 2}) {
    Graph g = channel_convolutions("SAME", stride, false, false, 4);
    const std::vector<float> before = run(g, "output", x);
    EXPECT_TRUE(optimize(g, "merge_channel_convolutions", {"output"}));
    expect_near(run(g, "output", x), before, 1e-4f);
    EXPECT_EQ(count(g, "Conv2D"), 1);
    EXPECT_EQ(count(g, "Split"), 0);
  }
  // TensorFlow would fuse a BiasAdd.
  Graph g = channel_convolutions("SAME", 1, false, false, 4);
  constant(g, "bias", Tensor::from<float>({6}, {1, 2, 3, 4, 5, 6}));
  add(g, "biased", "BiasAdd", {"output", "bias"});
  const std::vector<float> before = run(g, "biased", x);
  EXPECT_TRUE(optimize(g, "merge_channel_convolutions", {"biased"}));
  expect_near(run(g, "biased", x), before, 1e-4f);
  EXPECT_EQ(count(g, "BiasAdd"), 0);
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
  expect_near(run(g, "output"), kFixtureConv, 1e-5f);
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
