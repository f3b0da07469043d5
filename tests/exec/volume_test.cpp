// Convolutions, poolings and deconvolutions of volumes, [n, d, h, w, c], against the plain evals.
#include <gtest/gtest.h>

#include "tests/exec/answers.h"
#include "tests/exec/compare.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

struct VolumeCase {
  Shape in;      // [n, d, h, w, c]
  Shape window;  // [d, h, w]
  std::vector<int64_t> stride, dilation;
  int64_t out_c;
  const char* padding;
};

const std::vector<VolumeCase>& cases() {
  static const std::vector<VolumeCase> all{
      {{2, 6, 9, 8, 5}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, 20, "SAME"},
      {{1, 7, 9, 8, 16}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, 33, "VALID"},
      {{2, 8, 9, 11, 3}, {2, 3, 3}, {2, 2, 1}, {1, 1, 1}, 8, "SAME"},
      {{2, 5, 6, 7, 12}, {3, 1, 1}, {1, 1, 1}, {1, 1, 1}, 17, "SAME"},
      {{2, 5, 6, 7, 12}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, 17, "SAME"},   // planes that are maps
      {{2, 5, 6, 7, 12}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 40, "VALID"},  // a product of pixels
      {{2, 5, 6, 7, 12}, {1, 1, 1}, {2, 2, 2}, {1, 1, 1}, 10, "SAME"},
      {{1, 9, 10, 9, 8}, {3, 3, 2}, {1, 1, 1}, {2, 2, 3}, 9, "SAME"},
      {{1, 4, 70, 66, 32}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, 16, "SAME"},  // several bands of a plane
      {{1, 2, 3, 3, 300}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, 6, "SAME"},    // segments that are cut
      {{1, 6, 3, 7, 4}, {3, 1, 2}, {2, 3, 3}, {1, 1, 1}, 8, "SAME"},      // windows that skip elements
  };
  return all;
}

Attr five(const std::vector<int64_t>& v) { return ints({1, v[0], v[1], v[2], 1}); }

AttrMap window_attrs(const VolumeCase& c) {
  AttrMap attrs;
  attrs.emplace("T", DType::f32);
  attrs.emplace("padding", std::string(c.padding));
  attrs.emplace("data_format", std::string("NDHWC"));
  attrs.emplace("strides", five(c.stride));
  return attrs;
}

void check(const Graph& g, const std::map<std::string, Tensor>& data, const std::string& output,
           const std::set<std::string>& kernels) {
  const Answers a = run_both(g, data, {output});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 3e-6);
  EXPECT_EQ(a.kernels, kernels);
}

TEST(Volumes, ConvolutionsOfEveryGeometry) {
  for (const VolumeCase& c : cases()) {
    SCOPED_TRACE(to_string(c.window) + " of " + to_string(c.in));
    std::mt19937 random(static_cast<unsigned>(c.in.back() + c.out_c));
    Graph g;
    const std::map<std::string, Tensor> data{{"x", normal_tensor(c.in, random)}};
    placeholder(g, "x", c.in);
    Shape filter = c.window;
    filter.insert(filter.end(), {c.in.back(), c.out_c});
    const int64_t summands = elements(filter) / c.out_c;
    constant(g, "weights", normal_tensor(filter, random, 1 / std::sqrt(static_cast<float>(summands))));
    constant(g, "b", normal_tensor({c.out_c}, random));
    AttrMap attrs = window_attrs(c);
    attrs.emplace("dilations", five(c.dilation));
    add(g, "conv", "Conv3D", {"x", "weights"}, attrs);
    add(g, "bias", "BiasAdd", {"conv", "b"});
    add(g, "act", "Relu", {"bias"});
    const bool pixels = elements(c.window) == 1 && c.stride[0] == 1;
    check(g, data, "act", {pixels ? "gemm" : "window_gemm"});
  }
}

// conv -> batch norm of volumes -> swish -> + residual
TEST(Volumes, WhatFollowsAConvolutionIsComputedWithIt) {
  std::mt19937 random(5);
  Graph g;
  const Shape shape{2, 4, 5, 6, 7};
  const std::map<std::string, Tensor> data{{"x", normal_tensor(shape, random)}};
  placeholder(g, "x", shape);
  constant(g, "weights", normal_tensor({3, 3, 3, 7, 7}, random, 0.1f));
  for (const char* name : {"scale", "offset", "mean"}) constant(g, name, normal_tensor({7}, random));
  Tensor variance(DType::f32, {7});
  for (int64_t i = 0; i < 7; ++i) variance.data<float>()[i] = 0.5f + static_cast<float>(i);
  constant(g, "variance", variance);
  add(g, "conv", "Conv3D", {"x", "weights"}, window_attrs({shape, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, 7, "SAME"}));
  AttrMap norm;
  norm.emplace("T", DType::f32);
  norm.emplace("data_format", std::string("NDHWC"));
  norm.emplace("is_training", false);
  norm.emplace("epsilon", 1e-3f);
  add(g, "norm", "FusedBatchNormV3", {"conv", "scale", "offset", "mean", "variance"}, norm);
  add(g, "sigmoid", "Sigmoid", {"norm"});
  add(g, "swish", "Mul", {"norm", "sigmoid"});
  add(g, "sum", "AddV2", {"swish", "x"});
  check(g, data, "sum", {"window_gemm"});
}

// The blocks are of depth and height, whatever else they would fit.
TEST(Volumes, BatchesOfBlocksAreNoDilation) {
  std::mt19937 random(11);
  Graph g;
  const Shape shape{1, 4, 6, 5, 2};
  const std::map<std::string, Tensor> data{{"x", normal_tensor(shape, random)}};
  placeholder(g, "x", shape);
  constant(g, "block", Tensor::from<int32_t>({2}, {2, 2}));
  constant(g, "pads", Tensor::from<int32_t>({2, 2}, {1, 1, 1, 1}));
  constant(g, "crops", Tensor::from<int32_t>({2, 2}, {0, 0, 0, 0}));
  constant(g, "weights", normal_tensor({1, 3, 3, 2, 4}, random));
  add(g, "apart", "SpaceToBatchND", {"x", "block", "pads"});
  add(g, "conv", "Conv3D", {"apart", "weights"}, window_attrs({shape, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, 4, "VALID"}));
  add(g, "together", "BatchToSpaceND", {"conv", "block", "crops"});
  const Answers a = run_both(g, data, {"together"});
  ASSERT_EQ(a.plan[0].shape(), (Shape{1, 6, 4, 3, 4}));
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 3e-6);
}

TEST(Volumes, PoolingsOfEveryGeometry) {
  for (const char* op : {"MaxPool3D", "AvgPool3D"})
    for (const VolumeCase& c : cases()) {
      if (c.dilation[0] != 1 || elements(c.window) == 1) continue;
      SCOPED_TRACE(std::string(op) + " " + to_string(c.window) + " of " + to_string(c.in));
      std::mt19937 random(3);
      Graph g;
      const std::map<std::string, Tensor> data{{"x", normal_tensor(c.in, random)}};
      placeholder(g, "x", c.in);
      AttrMap attrs = window_attrs(c);
      attrs.emplace("ksize", five(c.window));
      add(g, "pool", op, {"x"}, attrs);
      check(g, data, "pool", {std::string(op) == "MaxPool3D" ? "max_pool" : "avg_pool"});
    }
}

TEST(Volumes, DeconvolutionsWithAndWithoutOverlap) {
  struct Case {
    Shape in, out, window;
    std::vector<int64_t> stride;
    const char* kernel;
  };
  for (const Case& c : {Case{{2, 3, 4, 5, 8}, {2, 6, 8, 10, 6}, {2, 2, 2}, {2, 2, 2}, "deconv"},
                        Case{{1, 3, 4, 5, 8}, {1, 3, 8, 15, 6}, {1, 2, 3}, {1, 2, 3}, "deconv"},
                        Case{{1, 3, 4, 5, 8}, {1, 9, 8, 10, 7}, {3, 2, 2}, {3, 2, 2}, "deconv"},
                        Case{{2, 3, 4, 5, 8}, {2, 6, 8, 10, 6}, {3, 3, 3}, {2, 2, 2}, "onednn_deconv"}}) {
    SCOPED_TRACE(to_string(c.window));
    std::mt19937 random(7);
    Graph g;
    const std::map<std::string, Tensor> data{{"x", normal_tensor(c.in, random)}};
    placeholder(g, "x", c.in);
    Tensor sizes(DType::i32, {5});
    for (int64_t i = 0; i < 5; ++i) sizes.data<int32_t>()[i] = static_cast<int32_t>(c.out[static_cast<size_t>(i)]);
    constant(g, "sizes", sizes);
    Shape filter = c.window;
    filter.insert(filter.end(), {c.out.back(), c.in.back()});
    constant(g, "weights", normal_tensor(filter, random, 0.2f));
    constant(g, "b", normal_tensor({c.out.back()}, random));
    AttrMap attrs = window_attrs({c.in, c.window, c.stride, {1, 1, 1}, c.out.back(), "SAME"});
    add(g, "up", "Conv3DBackpropInputV2", {"sizes", "weights", "x"}, attrs);
    add(g, "bias", "BiasAdd", {"up", "b"});
    add(g, "act", "Relu", {"bias"});
    check(g, data, "act", {c.kernel});
  }
}

// Two convolutions in 8 bits with a pooling of their bytes between them; sums are exact, so that only the last rounding differs.
TEST(Volumes, InEightBits) {
  for (const bool q8_16bit_safe : {true, false}) {
    QuantizedNet net;
    const QuantParams quant{0.03f, 110, false};
    net.input("x", {2, 6, 9, 8, 16});
    const auto conv = [&](const std::string& name, const std::string& in, int64_t out_c, const std::vector<int64_t>& stride) {
      const int64_t in_c = net.shape(in).back();
      const Tensor w = normal_tensor({3, 3, 3, in_c, out_c}, net.random, 1 / std::sqrt(27 * static_cast<float>(in_c)));
      constant(net.graph, name + "/w", w);
      const NodeId id = add(net.graph, name, "Conv3D", {in, name + "/w"}, window_attrs({{}, {}, stride, {}, 0, "SAME"}));
      set_quantized(net.graph, id, quant, quantize_weights(w, out_c, true, {127, q8_16bit_safe}));
    };
    conv("first", "x", 24, {2, 1, 1});
    AttrMap pool = window_attrs({{}, {}, {1, 2, 2}, {}, 0, "VALID"});
    pool.emplace("ksize", five({1, 2, 2}));
    net.op("pool", "MaxPool3D", {"first"}, pool);
    conv("second", "pool", 20, {1, 1, 1});
    const Answers a = net.expect_answers({"second"}, 35);
    EXPECT_EQ(a.kernels, (std::set<std::string>{"int8_window_gemm", "int8_max_pool"}));
  }
}

}  // namespace
}  // namespace cytodet
