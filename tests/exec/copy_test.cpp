// Nodes that only move elements are copies, and padding joins what follows it: against the plain evals, bit by bit.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/exec/compare.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

Tensor int_list(const std::vector<int32_t>& values) {
  const auto n = static_cast<int64_t>(values.size());
  return Tensor::from<int32_t>({n}, values);
}

AttrMap attr(const char* name, Attr value) {
  AttrMap attrs;
  attrs.emplace(name, std::move(value));
  return attrs;
}

// x -> op(x, constants...) gives the plain answer to the bit, in one copy.
void expect_copy(const std::string& op, const Shape& shape, const std::vector<Tensor>& constants, AttrMap attrs = {}) {
  Graph g;
  placeholder(g, "x", shape);
  std::vector<std::string> inputs{"x"};
  for (size_t i = 0; i < constants.size(); ++i) {
    inputs.push_back("c" + std::to_string(i));
    constant(g, inputs.back(), constants[i]);
  }
  add(g, "y", op, inputs, std::move(attrs));
  std::mt19937 random(3);
  const Answers a = run_both(g, {{"x", normal_tensor(shape, random)}}, {"y"});
  ASSERT_EQ(a.plan[0].shape(), a.plain[0].shape()) << op;
  EXPECT_EQ(std::memcmp(a.plan[0].raw(), a.plain[0].raw(), a.plain[0].bytes()), 0) << op << " " << to_string(shape);
  EXPECT_EQ(a.kernels, std::set<std::string>{"copy"}) << op;
}

TEST(Copy, PadsByZeroByAValueAndByMirrors) {
  for (const std::vector<int32_t>& pads :
       {std::vector<int32_t>{0, 0, 1, 2, 0, 3, 0, 0}, {1, 0, 0, 0, 2, 1, 3, 1}, {0, 0, 0, 0, 0, 0, 0, 0}}) {
    const auto four = Tensor::from<int32_t>({4, 2}, pads);
    expect_copy("Pad", {2, 5, 6, 7}, {four});
    expect_copy("PadV2", {2, 5, 6, 7}, {four, Tensor::scalar(-1.5f)});
    expect_copy("MirrorPad", {2, 5, 6, 7}, {four}, attr("mode", Attr("REFLECT")));
    expect_copy("MirrorPad", {2, 5, 6, 7}, {four}, attr("mode", Attr("SYMMETRIC")));
  }
}

TEST(Copy, SlicesWithStridesBackwardsAndWithMasks) {
  expect_copy("Slice", {2, 5, 6, 7}, {int_list({1, 1, 0, 2}), int_list({1, -1, 3, 5})});
  expect_copy("StridedSlice", {2, 5, 6, 7}, {int_list({0, 1, 0, 0}), int_list({2, 5, 6, 7}), int_list({1, 2, 3, 1})});
  expect_copy("StridedSlice", {2, 5, 6, 7}, {int_list({0, -1, 0, 6}), int_list({2, -6, 6, 1}), int_list({1, -1, 1, -2})});
  AttrMap masks = attr("begin_mask", Attr(int64_t{3}));
  masks.emplace("end_mask", Attr(int64_t{3}));
  masks.emplace("shrink_axis_mask", Attr(int64_t{4}));
  expect_copy("StridedSlice", {2, 5, 6, 7}, {int_list({1, 1, 4}), int_list({0, 0, 0}), int_list({1, 1, 1})}, masks);
}

TEST(Copy, TransposesEveryOrder) {
  std::vector<int32_t> order{0, 1, 2, 3};
  do {
    expect_copy("Transpose", {2, 5, 6, 21}, {int_list(order)});
  } while (std::next_permutation(order.begin(), order.end()));
  expect_copy("Transpose", {70, 50}, {int_list({1, 0})});
}

TEST(Copy, TilesReversesGathersAndBlocks) {
  expect_copy("Tile", {2, 5, 6, 7}, {int_list({1, 2, 1, 3})});
  expect_copy("ReverseV2", {2, 5, 6, 7}, {int_list({1, -1})});
  expect_copy("Roll", {2, 5, 6, 7}, {int_list({-2, 3}), int_list({1, -1})});
  expect_copy("Roll", {2, 5, 6, 7}, {int_list({13, 1}), int_list({2, 2})});
  expect_copy("GatherV2", {2, 5, 6, 7}, {int_list({6, 0, 3, 3}), Tensor::scalar<int32_t>(3)});
  expect_copy("SpaceToDepth", {2, 6, 4, 3}, {}, attr("block_size", Attr(int64_t{2})));
  expect_copy("DepthToSpace", {2, 3, 4, 12}, {}, attr("block_size", Attr(int64_t{2})));
}

TEST(Copy, ResizesToTheNearestInEveryMode) {
  for (const auto& [corners, half] : {std::pair{false, false}, {true, false}, {false, true}}) {
    AttrMap attrs = attr("align_corners", Attr(corners));
    attrs.emplace("half_pixel_centers", Attr(half));
    expect_copy("ResizeNearestNeighbor", {2, 5, 6, 7}, {int_list({9, 4})}, attrs);
  }
}

TEST(Copy, SplitsGiveOneCopyForEachPartThatIsRead) {
  Graph g;
  placeholder(g, "x", {2, 5, 6, 12});
  constant(g, "axis", Tensor::scalar<int32_t>(-1));
  constant(g, "sizes", int_list({2, 4, 6}));
  add(g, "even", "Split", {"axis", "x"}, attr("num_split", Attr(int64_t{3})));
  add(g, "uneven", "SplitV", {"x", "sizes", "axis"}, attr("num_split", Attr(int64_t{3})));
  AttrMap unpack = attr("num", Attr(int64_t{5}));
  unpack.emplace("axis", Attr(int64_t{1}));
  add(g, "rows", "Unpack", {"x"}, unpack);
  add(g, "a", "Tanh", {"even:2"});
  add(g, "b", "Tanh", {"uneven:1"});
  add(g, "c", "Sub", {"rows:3", "rows:1"});
  std::mt19937 random(3);
  const Answers a = run_both(g, {{"x", normal_tensor({2, 5, 6, 12}, random)}}, {"a", "b", "c"});
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(worst_difference(a.plan[i], a.plain[i]), 1e-6);
  EXPECT_EQ(a.kernels, (std::set<std::string>{"copy", "elementwise"}));
}

// Zeros around a map, and a convolution or pooling without padding behind it.
void expect_padding_joins(const std::string& op, const std::string& before, const std::vector<int32_t>& pads, int64_t stride,
                          bool joins) {
  Graph g;
  std::mt19937 random(5);
  placeholder(g, "x", {2, 9, 10, 19});
  add(g, "act", before, {"x"});
  constant(g, "pads", Tensor::from<int32_t>({4, 2}, {0, 0, pads[0], pads[1], pads[2], pads[3], 0, 0}));
  add(g, "pad", "Pad", {"act", "pads"});
  if (op == "MaxPool") {
    add(g, "y", op, {"pad"}, pool_attrs(3, stride, "VALID"));
  } else {
    constant(g, "w", normal_tensor({3, 3, 19, op == "Conv2D" ? 8 : 1}, random));
    add(g, "y", op, {"pad", "w"}, conv_attrs("VALID", stride));
  }
  const Answers a = run_both(g, {{"x", normal_tensor({2, 9, 10, 19}, random)}}, {"y"});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6) << op;
  EXPECT_EQ(a.kernels.contains("copy"), !joins) << op << " " << before;
  EXPECT_FALSE(a.kernels.contains("plain"));
}

TEST(Copy, PaddingJoinsTheConvolutionOrPoolingBehindIt) {
  for (const std::vector<int32_t>& pads : {std::vector<int32_t>{0, 1, 0, 1}, {1, 1, 1, 1}, {2, 1, 0, 2}})
    for (int64_t stride : {1, 2}) {
      expect_padding_joins("DepthwiseConv2dNative", "Relu6", pads, stride, true);
      expect_padding_joins("Conv2D", "Relu6", pads, stride, true);
      expect_padding_joins("MaxPool", "Relu", pads, stride, true);
    }
  // A pooling of negative numbers would give 0 where it looks at zeros.
  expect_padding_joins("MaxPool", "Tanh", {1, 1, 1, 1}, 2, false);
  // A window of nothing but zeros.
  expect_padding_joins("MaxPool", "Relu", {3, 3, 3, 3}, 1, false);
}

TEST(Copy, PaddingJoinsConvolutionsOfQuantizedMaps) {
  QuantizedNet net;
  net.input("x", {1, 12, 12, 20});
  const QuantParams quant{0.03f, 110, false};
  net.conv("first", "x", 24, 1, quant);
  constant(net.graph, "pads", Tensor::from<int32_t>({4, 2}, {0, 0, 0, 1, 0, 1, 0, 0}));
  net.op("pad", "Pad", {"first", "pads"});
  const Tensor w = normal_tensor({3, 3, 24, 1}, net.random, 0.3f);
  constant(net.graph, "w", w);
  const NodeId id = add(net.graph, "dw", "DepthwiseConv2dNative", {"pad", "w"}, conv_attrs("VALID", 2));
  set_quantized(net.graph, id, quant, quantize_weights(w, 24, true));
  const Answers a = net.expect_answers({"dw"});
  EXPECT_FALSE(a.kernels.contains("plain"));
  EXPECT_FALSE(a.kernels.contains("copy"));
}

}  // namespace
}  // namespace cytodet
