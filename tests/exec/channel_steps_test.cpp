// Concatenations, local response normalisation, softmax, arg max and fake quantization, against the plain evals.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/exec/compare.h"
#include "tests/exec/quantized_net.h"

namespace cytodet {
namespace {

using namespace test;

TEST(ChannelSteps, LocalResponseNorm) {
  for (const auto& [radius, beta] :
       {std::pair{int64_t{2}, 0.75f}, {int64_t{5}, 0.5f}, {int64_t{0}, 1.3f}, {int64_t{30}, 0.75f}}) {
    Graph g;
    placeholder(g, "x", {2, 5, 6, 19});
    AttrMap attrs;
    attrs.emplace("depth_radius", Attr(radius));
    attrs.emplace("bias", Attr(1.5f));
    attrs.emplace("alpha", Attr(0.3f));
    attrs.emplace("beta", Attr(beta));
    add(g, "y", "LRN", {"x"}, attrs);
    std::mt19937 random(3);
    const Answers a = run_both(g, {{"x", normal_tensor({2, 5, 6, 19}, random, 2)}}, {"y"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-6) << radius;
    EXPECT_EQ(a.kernels, std::set<std::string>{"lrn"});
  }
}

// Parts of any length, computed and constant, joined along any axis; and stacked along a new one.
TEST(ChannelSteps, Concatenations) {
  std::mt19937 random(5);
  for (const int axis : {0, 1, 2, -1}) {
    std::map<std::string, Tensor> data;
    Graph g;
    std::vector<std::string> parts;
    for (const int64_t size : {1, 2, 3, 5}) {
      Shape shape{3, 4, 6};
      shape[static_cast<size_t>((axis + 3) % 3)] = size;
      parts.push_back("p" + std::to_string(size));
      const Tensor part = normal_tensor(shape, random);
      if (size == 3) {
        constant(g, parts.back(), part);
      } else {
        placeholder(g, parts.back(), shape);
        data[parts.back()] = part;
      }
    }
    constant(g, "axis", Tensor::scalar<int32_t>(axis));
    parts.push_back("axis");
    add(g, "y", "ConcatV2", parts);
    const Answers a = run_both(g, data, {"y"});
    EXPECT_EQ(worst_difference(a.plan[0], a.plain[0]), 0) << axis;
    EXPECT_EQ(a.kernels, std::set<std::string>{"concat"}) << axis;
  }
  for (const int64_t axis : {0, 1, 2, 3, -1}) {
    std::map<std::string, Tensor> data;
    Graph g;
    for (const char* name : {"a", "b"}) {
      placeholder(g, name, {3, 4, 6});
      data[name] = normal_tensor({3, 4, 6}, random);
    }
    constant(g, "c", normal_tensor({3, 4, 6}, random));
    AttrMap attrs;
    attrs.emplace("axis", Attr(axis));
    attrs.emplace("N", Attr(int64_t{3}));
    add(g, "y", "Pack", {"a", "c", "b"}, attrs);
    const Answers a = run_both(g, data, {"y"});
    EXPECT_EQ(worst_difference(a.plan[0], a.plain[0]), 0) << axis;
    EXPECT_EQ(a.kernels, std::set<std::string>{"concat"}) << axis;
  }
}

TEST(ChannelSteps, Softmax) {
  for (const Shape& shape : {Shape{3, 7, 1}, {2, 5, 6, 4}, {40, 16}, {3, 31, 32}, {1, 3, 197, 197}, {2, 2000}, {5}}) {
    Graph g;
    placeholder(g, "x", shape);
    add(g, "y", "Softmax", {"x"});
    std::mt19937 random(3);
    Tensor x = normal_tensor(shape, random, 20);
    const Answers a = run_both(g, {{"x", x}}, {"y"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-6) << to_string(shape);
    EXPECT_EQ(a.kernels, std::set<std::string>{"softmax"});
  }
}

// As TensorFlow: what is masked by minus infinity has no share, and a row that holds NaN or nothing but minus infinity is NaN.
TEST(ChannelSteps, SoftmaxOfInfinityAndNan) {
  Graph g;
  placeholder(g, "x", {4, 3});
  add(g, "y", "Softmax", {"x"});
  const Tensor x = Tensor::from<float>({4, 3}, {1, -INFINITY, 1, -INFINITY, -INFINITY, -INFINITY, 0, NAN, 0, -3e38f, 3e38f, 0});
  const Answers a = run_both(g, {{"x", x}}, {"y"});
  for (int64_t i = 0; i < 12; ++i) {
    const float got = a.plan[0].data<float>()[i], wanted = a.plain[0].data<float>()[i];
    EXPECT_EQ(std::isnan(got), std::isnan(wanted)) << i;
    if (!std::isnan(wanted)) {
      EXPECT_NEAR(got, wanted, 1e-6) << i;
    }
  }
}

TEST(ChannelSteps, ArgMaxAndArgMinAlongTheLastDimension) {
  for (const char* op : {"ArgMax", "ArgMin"})
    for (const DType type : {DType::i32, DType::i64}) {
      Graph g;
      placeholder(g, "x", {2, 5, 6, 19});
      constant(g, "axis", Tensor::scalar<int32_t>(-1));
      AttrMap attrs;
      attrs.emplace("output_type", Attr(type));
      add(g, "y", op, {"x", "axis"}, attrs);
      std::mt19937 random(3);
      Tensor x = normal_tensor({2, 5, 6, 19}, random);
      for (int64_t i = 0; i < 40; ++i) x.data<float>()[i] = 1;  // the first of equal ones
      const Answers a = run_both(g, {{"x", x}}, {"y"});
      EXPECT_EQ(worst_difference(a.plan[0], a.plain[0]), 0) << op;
      EXPECT_EQ(a.kernels, std::set<std::string>{"arg_extreme"});
    }
}

TEST(ChannelSteps, FakeQuantizationIsAnExpression) {
  for (const bool per_channel : {false, true}) {
    Graph g;
    placeholder(g, "x", {2, 5, 3});
    constant(g, "min", per_channel ? Tensor::from<float>({3}, {-1, -0.3f, 0.2f}) : Tensor::scalar(-1.1f));
    constant(g, "max", per_channel ? Tensor::from<float>({3}, {1, 2, 0.9f}) : Tensor::scalar(2.3f));
    add(g, "y", per_channel ? "FakeQuantWithMinMaxVarsPerChannel" : "FakeQuantWithMinMaxVars", {"x", "min", "max"});
    std::mt19937 random(3);
    const Answers a = run_both(g, {{"x", normal_tensor({2, 5, 3}, random, 2)}}, {"y"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-6) << per_channel;
    EXPECT_EQ(a.kernels, std::set<std::string>{"elementwise"});
  }
}

}  // namespace
}  // namespace cytodet
