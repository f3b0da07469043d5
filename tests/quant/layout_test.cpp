// Layers rewritten into forms that INT8 can have give what they gave.
#include "quant/layout.h"

#include <gtest/gtest.h>

#include "graph/io/named_tensors.h"
#include "quant/deconvolution.h"
#include "tests/graph/fixtures.h"
#include "tests/uniform_tensor.h"

namespace cytodet {
namespace {

using namespace test;

// A deconvolution to [2, height, width, 3] by a filter of [ky, kx].
struct Deconvolution {
  int64_t height, width, ky, kx, stride;
  std::string padding;
  std::vector<int64_t> pads = {};
  int64_t in(int64_t out, int64_t k, size_t at) const {
    if (padding == "SAME") return (out + stride - 1) / stride;
    return (out - k + (pads.empty() ? 0 : pads[at] + pads[at + 1])) / stride + 1;
  }
};

Graph graph_of(const Deconvolution& d, const std::string& format = "NHWC") {
  Graph g;
  placeholder(g, "x", {2, d.in(d.height, d.ky, 2), d.in(d.width, d.kx, 4), 5});
  constant(g, "w", uniform_tensor({d.ky, d.kx, 3, 5}, 3));
  constant(g, "sizes", Tensor::from<int32_t>({4}, {2, static_cast<int32_t>(d.height), static_cast<int32_t>(d.width), 3}));
  AttrMap a = conv_attrs(d.padding, d.stride);
  a.emplace("data_format", format);
  if (!d.pads.empty()) a.emplace("explicit_paddings", ints(d.pads));
  add(g, "y", "Conv2DBackpropInput", {"sizes", "w", "x"}, a);
  return g;
}

TEST(Deconvolution, AsPhasesOfAConvolution) {
  const Deconvolution kAll[] = {{8, 8, 3, 3, 2, "SAME"},   {7, 9, 3, 3, 2, "SAME"},
                                {9, 8, 2, 4, 2, "VALID"},  {10, 7, 3, 2, 3, "VALID"},
                                {11, 11, 1, 1, 3, "SAME"}, {6, 5, 3, 3, 1, "SAME"},
                                {6, 5, 3, 2, 1, "VALID"},  {4, 4, 5, 4, 2, "SAME"},
                                {2, 1, 4, 4, 2, "SAME"},   {9, 10, 3, 3, 2, "EXPLICIT", {0, 0, 1, 0, 2, 1, 0, 0}}};
  for (const Deconvolution& d : kAll) {
    Graph g = graph_of(d);
    const Tensor x = uniform_tensor({2, d.in(d.height, d.ky, 2), d.in(d.width, d.kx, 4), 5}, 1);
    const Tensor wanted = interpret(g, {{g.value("x"), x}}, {g.value("y")})[0];
    ASSERT_EQ(deconvolutions_to_convolutions(g), 1) << d.padding << d.height;
    g.check();
    EXPECT_EQ(count(g, "Conv2DBackpropInput"), 0);
    EXPECT_EQ(count(g, "Conv2D"), 1);
    EXPECT_EQ(difference(interpret(g, {{g.value("x"), x}}, {g.value("y")})[0], wanted), "") << d.padding << d.height;
  }
}

// A deconvolution of a volume of 8 channels to `out` of 3.
struct VolumeDeconvolution {
  Shape out, kernel;
  std::vector<int64_t> strides;
  std::string padding;
  Shape in() const {
    Shape shape{2};
    for (size_t d = 0; d < 3; ++d)
      shape.push_back(padding == "SAME" ? (out[d] + strides[d] - 1) / strides[d] : (out[d] - kernel[d]) / strides[d] + 1);
    shape.push_back(8);
    return shape;
  }
};

Graph graph_of(const VolumeDeconvolution& d, bool biased) {
  Graph g;
  placeholder(g, "x", d.in());
  constant(g, "w", uniform_tensor({d.kernel[0], d.kernel[1], d.kernel[2], 3, 8}, 3));
  std::vector<int32_t> sizes{2};
  for (int64_t v : d.out) sizes.push_back(static_cast<int32_t>(v));
  sizes.push_back(3);
  constant(g, "sizes", Tensor::from<int32_t>({5}, sizes));
  constant(g, "b", uniform_tensor({3}, 5));
  AttrMap a;
  a.emplace("strides", ints({1, d.strides[0], d.strides[1], d.strides[2], 1}));
  a.emplace("padding", d.padding);
  a.emplace("data_format", std::string("NDHWC"));
  a.emplace("Tshape", DType::i32);
  add(g, "y", "Conv3DBackpropInputV2", {"sizes", "w", "x"}, a);
  if (biased) add(g, "z", "BiasAdd", {"y", "b"});
  return g;
}

TEST(Deconvolution, Volumes) {
  const VolumeDeconvolution kAll[] = {{{4, 6, 8}, {2, 2, 2}, {2, 2, 2}, "SAME"}, {{4, 6, 8}, {2, 2, 2}, {2, 2, 2}, "VALID"},
                                      {{5, 7, 6}, {3, 3, 3}, {2, 2, 2}, "SAME"}, {{9, 7, 5}, {3, 1, 2}, {2, 1, 3}, "VALID"},
                                      {{4, 5, 6}, {3, 3, 3}, {1, 1, 1}, "SAME"}, {{3, 8, 8}, {1, 4, 4}, {1, 2, 2}, "SAME"}};
  for (const VolumeDeconvolution& d : kAll)
    for (bool biased : {false, true}) {
      Graph g = graph_of(d, biased);
      const std::string end = biased ? "z" : "y";
      const Tensor x = uniform_tensor(d.in(), 1), wanted = interpret(g, {{g.value("x"), x}}, {g.value(end)})[0];
      ASSERT_EQ(deconvolutions_to_convolutions(g, {{"x"}, {end}}), 1);
      g.check();
      EXPECT_EQ(count(g, "Conv3D"), 1);
      EXPECT_EQ(difference(interpret(g, {{g.value("x"), x}}, {g.value(end)})[0], wanted), "") << to_string(d.out);
    }
  Graph few = graph_of(kAll[0], false);
  few.node(few.require("y")).inputs[1] = few.add_const("few", uniform_tensor({2, 2, 2, 3, 7}, 3));
  EXPECT_EQ(deconvolutions_to_convolutions(few), 0);
}

TEST(Deconvolution, ABiasThatAloneReadsItIsAddedToItsPhases) {
  for (const Deconvolution& d : {Deconvolution{8, 8, 2, 2, 2, "SAME"}, Deconvolution{7, 9, 3, 3, 2, "SAME"}})
    for (const char* op : {"BiasAdd", "AddV2"}) {
      Graph g = graph_of(d);
      constant(g, "b", uniform_tensor({3}, 5));
      add(g, "z", op, {"y", "b"});
      add(g, "end", "Relu", {"z"});
      const Tensor x = uniform_tensor({2, d.in(d.height, d.ky, 2), d.in(d.width, d.kx, 4), 5}, 1);
      const Tensor wanted = interpret(g, {{g.value("x"), x}}, {g.value("end")})[0];
      Graph kept = g;
      ASSERT_EQ(deconvolutions_to_convolutions(g, {{"x"}, {"end"}}), 1);
      g.check();
      EXPECT_EQ(count(g, "Slice"), d.height == 8 ? 0 : 1) << "blocks that are the result are not cut";
      EXPECT_EQ(g.node(g.require("y/phases_and_bias")).op, "BiasAdd");
      EXPECT_EQ(difference(interpret(g, {{g.value("x"), x}}, {g.value("end")})[0], wanted), "");
      // Who asks for the deconvolution gets it without the bias.
      const Tensor alone = interpret(kept, {{kept.value("x"), x}}, {kept.value("y")})[0];
      ASSERT_EQ(deconvolutions_to_convolutions(kept, {{"x"}, {"end", "y"}}), 1);
      EXPECT_EQ(difference(interpret(kept, {{kept.value("x"), x}}, {kept.value("y")})[0], alone), "");
    }
}

TEST(Deconvolution, WaitsForWhatItWaitedFor) {
  Graph g = graph_of({8, 8, 2, 2, 2, "SAME"});
  constant(g, "b", uniform_tensor({3}, 5));
  add(g, "z", "BiasAdd", {"y", "b"});
  add(g, "first", "NoOp", {});
  g.node(g.require("y")).controls = {g.require("first")};
  ASSERT_EQ(deconvolutions_to_convolutions(g, {{"x"}, {"z"}}), 1);
  g.check();
  EXPECT_EQ(g.node(g.require("z")).controls, std::vector<NodeId>{g.require("first")});
}

TEST(Deconvolution, OthersStay) {
  Graph first = graph_of({8, 8, 3, 3, 2, "SAME"}, "NCHW");
  EXPECT_EQ(deconvolutions_to_convolutions(first), 0);
  Graph uneven = graph_of({8, 8, 3, 3, 2, "SAME"});
  uneven.node(uneven.require("y")).attrs["strides"] = ints({1, 2, 1, 1});
  EXPECT_EQ(deconvolutions_to_convolutions(uneven), 0);
  Graph computed = graph_of({8, 8, 3, 3, 2, "SAME"});
  placeholder(computed, "other", {3, 3, 3, 5});
  computed.node(computed.require("y")).inputs[1] = computed.value("other");
  EXPECT_EQ(deconvolutions_to_convolutions(computed), 0);
  Graph broken = graph_of({8, 8, 3, 3, 2, "SAME"});
  broken.node(broken.require("y")).attrs["strides"] = ints({1, 0, 0, 1});
  EXPECT_EQ(deconvolutions_to_convolutions(broken), 0);
}

}  // namespace
}  // namespace cytodet
