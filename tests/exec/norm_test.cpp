// Layer, group, instance and root-mean-square norms from their pieces, against the plain evals; their kernels against double.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "exec/kernels/expression/expression.h"
#include "tests/exec/answers.h"
#include "tests/exec/compare.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

// The graph of a norm of x over `axes`, with scale and shift of this shape.
struct NormCase {
  const char* spelling;
  Shape x;
  std::vector<int32_t> axes;
  Shape scale;
};

// Adds "mean" and "variance" of x.
void add_moments(Graph& g, const std::string& spelling) {
  add(g, "mean", "Mean", {"x", "axes"}, kept_dims());
  if (spelling == "keras") {  // tf.nn.moments
    add(g, "stop", "StopGradient", {"mean"});
    add(g, "squares", "SquaredDifference", {"x", "stop"});
    add(g, "variance", "Mean", {"squares", "axes"}, kept_dims());
  } else if (spelling == "squares") {  // the mean of squares less the square of the mean
    add(g, "squares", "Square", {"x"});
    add(g, "mean_square", "Mean", {"squares", "axes"}, kept_dims());
    add(g, "square_mean", "Mul", {"mean", "mean"});
    add(g, "variance", "Sub", {"mean_square", "square_mean"});
  } else {
    add(g, "centred", "Sub", {"x", "mean"});
    add(g, "squares", "Mul", {"centred", "centred"});
    add(g, "variance", "Mean", {"squares", "axes"}, kept_dims());
  }
}

Graph norm_graph(const NormCase& c, std::mt19937& random) {
  const std::string spelling = c.spelling;
  Graph g;
  placeholder(g, "x", c.x);
  constant(g, "axes", Tensor::from<int32_t>({static_cast<int64_t>(c.axes.size())}, c.axes));
  constant(g, "scale", normal_tensor(c.scale, random));
  constant(g, "shift", normal_tensor(c.scale, random));
  constant(g, "epsilon", Tensor::scalar(1e-3f));
  if (spelling == "root mean square") {
    add(g, "squares", "Square", {"x"});
    add(g, "variance", "Mean", {"squares", "axes"}, kept_dims());
    add(g, "sum", "AddV2", {"variance", "epsilon"});
    add(g, "root", "Rsqrt", {"sum"});
    add(g, "normal", "Mul", {"x", "root"});
    add(g, "y", "Mul", {"normal", "scale"});
    return g;
  }
  add_moments(g, spelling);
  add(g, "sum", "AddV2", {"variance", "epsilon"});
  if (spelling == "keras") {
    add(g, "root", "Rsqrt", {"sum"});
    add(g, "factor", "Mul", {"root", "scale"});
    add(g, "scaled", "Mul", {"x", "factor"});
    add(g, "scaled_mean", "Mul", {"mean", "factor"});
    add(g, "rest", "Sub", {"shift", "scaled_mean"});
    add(g, "y", "AddV2", {"scaled", "rest"});
  } else if (spelling == "squares") {
    constant(g, "minus_half", Tensor::scalar(-0.5f));
    add(g, "root", "Pow", {"sum", "minus_half"});
    add(g, "centred", "Sub", {"x", "mean"});
    add(g, "normal", "Mul", {"centred", "root"});
    add(g, "scaled", "Mul", {"scale", "normal"});
    add(g, "y", "Add", {"shift", "scaled"});
  } else {
    add(g, "root", "Sqrt", {"sum"});
    add(g, "normal", "RealDiv", {"centred", "root"});
    add(g, "scaled", "Mul", {"normal", "scale"});
    add(g, "y", "AddV2", {"scaled", "shift"});
  }
  return g;
}

TEST(Norms, OneStepInAnySpelling) {
  const NormCase cases[] = {
      {"keras", {2, 9, 192}, {2}, {192}},
      {"keras", {2, 9, 37}, {-1}, {1, 1, 37}},
      {"onnx", {1, 5, 3, 96}, {3}, {96}},
      {"onnx", {40, 64}, {1}, {64}},
      {"squares", {3, 7, 100}, {2}, {100}},
      {"root mean square", {2, 6, 80}, {2}, {80}},
      {"keras", {2, 4, 5, 12}, {1, 2, 3}, {4, 5, 12}},           // a layer norm over several axes
      {"keras", {2, 5, 6, 19}, {1, 2}, {19}},                    // an instance norm
      {"onnx", {3, 16, 70}, {1}, {70}},                          // the same, of one axis
      {"keras", {2, 30, 40, 4, 6}, {1, 2, 4}, {1, 1, 1, 4, 6}},  // a group norm
      {"root mean square", {2, 5, 6, 4, 8}, {1, 2, 4}, {4, 8}},
      {"onnx", {1, 70, 3}, {0, 1, 2}, {1}},
  };
  std::mt19937 random(5);
  for (const NormCase& c : cases) {
    const Graph g = norm_graph(c, random);
    Tensor x = normal_tensor(c.x, random, 2);
    for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] += 1.5f;
    const Answers a = run_both(g, {{"x", x}}, {"y"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 3e-6) << c.spelling << " of " << to_string(c.x);
    EXPECT_THAT(a.kernels, ElementsAre("norm")) << c.spelling << " of " << to_string(c.x);
  }
}

// Keras computes a layer norm with an epsilon above 1e-3 as a batch norm of one image whose channels are the rows.
// Where all values are the same, their distance from the mean is 0, whatever they are divided by.
TEST(Norms, EqualValuesGiveTheShift) {
  std::mt19937 random(8);
  for (const NormCase& c : {NormCase{"keras", {2, 5, 6, 16}, {3}, {16}},
                            {"keras", {2, 5, 6, 17}, {3}, {17}},
                            {"keras", {2, 5, 6, 16}, {1, 2}, {16}}}) {
    Graph g = norm_graph(c, random);
    Tensor x(DType::f32, c.x);
    std::fill_n(x.data<float>(), x.size(), 31.25f);
    const Answers a = run_both(g, {{"x", x}}, {"y"});
    EXPECT_TRUE(a.kernels.contains("norm"));
    const Tensor& shift = *g.constant(g.value("shift"));
    for (int64_t i = 0; i < x.size(); ++i) ASSERT_EQ(a.plan[0].data<float>()[i], shift.data<float>()[i % c.scale[0]]);
  }
}

TEST(Norms, LayerNormOnABatchNorm) {
  std::mt19937 random(5);
  Graph g;
  placeholder(g, "x", {2, 9, 48});
  constant(g, "as_channels", Tensor::from<int32_t>({4}, {1, 18, 48, 1}));
  constant(g, "as_rows", Tensor::from<int32_t>({3}, {2, 9, 48}));
  Tensor ones(DType::f32, {18});
  std::fill(ones.data<float>(), ones.data<float>() + 18, 1.0f);
  constant(g, "ones", ones);
  constant(g, "zeros", Tensor(DType::f32, {18}));
  constant(g, "none", Tensor(DType::f32, {0}));
  constant(g, "gamma", normal_tensor({48}, random));
  constant(g, "beta", normal_tensor({48}, random));
  add(g, "channels", "Reshape", {"x", "as_channels"});
  AttrMap attrs;
  attrs.emplace("is_training", true);
  attrs.emplace("data_format", "NCHW");
  attrs.emplace("epsilon", Attr(2e-3f));
  add(g, "norm", "FusedBatchNormV3", {"channels", "ones", "zeros", "none", "none"}, std::move(attrs));
  add(g, "rows", "Reshape", {"norm", "as_rows"});
  add(g, "scaled", "Mul", {"rows", "gamma"});
  add(g, "y", "AddV2", {"scaled", "beta"});
  const Answers a = run_both(g, {{"x", normal_tensor({2, 9, 48}, random, 3)}}, {"y"});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 3e-6);
  EXPECT_THAT(a.kernels, UnorderedElementsAre("norm", "alias"));
}

// What only looks like a norm: the mean is read elsewhere too, means go over other axes, the variance is of another value,
// epsilon differs by channel.
TEST(Norms, SimilarChainsStayAsTheyAre) {
  std::mt19937 random(6);
  for (const char* broken : {"read", "axes", "other", "epsilon", "sign"}) {
    const std::string what = broken;
    Graph g;
    placeholder(g, "x", {3, 8, 24});
    placeholder(g, "z", {3, 8, 24});
    constant(g, "axes", Tensor::from<int32_t>({1}, {2}));
    constant(g, "others", Tensor::from<int32_t>({1}, {1}));
    constant(g, "epsilon",
             what == "epsilon" ? Tensor::from<float>({8, 1}, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}) : Tensor::scalar(1.0f));
    add(g, "mean", "Mean", {"x", "axes"}, kept_dims());
    add(g, "squares", "SquaredDifference", {what == "other" ? "z" : "x", "mean"});
    add(g, "variance", "Mean", {"squares", what == "axes" ? "others" : "axes"}, kept_dims());
    add(g, "sum", "AddV2", {"variance", "epsilon"});
    add(g, "root", "Rsqrt", {"sum"});
    add(g, "centred", what == "sign" ? "AddV2" : "Sub", {"x", "mean"});
    add(g, "y", "Mul", {"centred", "root"});
    const std::vector<std::string> outputs =
        what == "read" ? std::vector<std::string>{"y", "mean"} : std::vector<std::string>{"y"};
    const Answers a = run_both(g, {{"x", normal_tensor({3, 8, 24}, random)}, {"z", normal_tensor({3, 8, 24}, random)}}, outputs);
    for (size_t i = 0; i < outputs.size(); ++i) EXPECT_LT(worst_difference(a.plan[i], a.plain[i]), 3e-6) << broken;
    EXPECT_THAT(a.kernels, Not(Contains("norm"))) << broken;
  }
}

// Numbers that lie along other axes than those that are normalized, and reshapes that move values to other rows, are read as they
// are: all of these have as many numbers as there are channels.
TEST(Norms, NumbersOfRowsAreNoNumbersOfChannels) {
  std::mt19937 random(6);
  for (const char* broken : {"numbers", "mean", "blocks", "images"}) {
    const std::string what = broken;
    const Shape shape = what == "blocks" ? Shape{2, 4} : what == "images" ? Shape{2, 1, 3, 2, 2} : Shape{4, 4};
    Graph g;
    placeholder(g, "x", shape);
    constant(g, "axes",
             what == "images" ? Tensor::from<int32_t>({3}, {1, 2, 4}) : Tensor::from<int32_t>({1}, std::vector<int32_t>{1}));
    constant(g, "epsilon", Tensor::scalar(0.1f));
    add_moments(g, "keras");
    add(g, "sum", "AddV2", {"variance", "epsilon"});
    add(g, "root", "Rsqrt", {"sum"});
    std::string x = "x", mean = "mean", root = "root";
    if (what == "numbers" || what == "images") {
      constant(g, "numbers", normal_tensor(what == "images" ? Shape{2, 1, 1, 1, 1} : Shape{4, 1}, random));
      add(g, root = "factor", "Mul", {"root", "numbers"});
    }
    if (what == "mean") {
      constant(g, "as_row", Tensor::from<int32_t>({2}, {1, 4}));
      add(g, mean = "mean_row", "Reshape", {"mean", "as_row"});
    }
    if (what == "blocks") {
      constant(g, "as_blocks", Tensor::from<int32_t>({3}, {2, 2, 2}));
      add(g, x = "blocks", "Reshape", {"x", "as_blocks"});
    }
    add(g, "centred", "Sub", {x, mean});
    add(g, "y", "Mul", {"centred", root});
    const Answers a = run_both(g, {{"x", normal_tensor(shape, random)}}, {"y"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 3e-6) << broken;
  }
}

// A batch norm whose mean is read too is no norm alone.
TEST(Norms, OtherOutputsOfABatchNormAreKept) {
  std::mt19937 random(7);
  for (const bool read : {false, true}) {
    Graph g;
    placeholder(g, "x", {1, 6, 20, 1});
    Tensor ones(DType::f32, {6});
    std::fill(ones.data<float>(), ones.data<float>() + 6, 1.0f);
    constant(g, "ones", ones);
    constant(g, "zeros", Tensor(DType::f32, {6}));
    constant(g, "none", Tensor(DType::f32, {0}));
    AttrMap attrs;
    attrs.emplace("is_training", true);
    attrs.emplace("data_format", "NCHW");
    attrs.emplace("epsilon", Attr(2e-3f));
    add(g, "norm", "FusedBatchNormV3", {"x", "ones", "zeros", "none", "none"}, std::move(attrs));
    if (read) add(g, "means", "Neg", {"norm:1"});
    const std::vector<std::string> outputs{"norm", read ? "means" : "norm:1"};
    const Answers a = run_both(g, {{"x", normal_tensor({1, 6, 20, 1}, random)}}, outputs);
    for (size_t i = 0; i < 2; ++i) EXPECT_LT(worst_difference(a.plan[i], a.plain[i]), 3e-6) << outputs[i];
    EXPECT_THAT(a.kernels, Not(Contains("norm")));
  }
}

// Every instruction set of the tables that this CPU has, against double.
TEST(ExpressionKernels, NormsOfRows) {
  std::vector<const ExpressionKernels*> sets{&kExpressionBaseline};
  if (isa() >= Isa::avx2) sets.push_back(&kExpressionAvx2);
  if (isa() >= Isa::avx512) sets.push_back(&kExpressionAvx512);
  std::mt19937 random(12);
  for (const ExpressionKernels* set : sets)
    for (int64_t n : {1, 3, 16, 31, 32, 33, 100, 192, 700})
      for (const bool centred : {false, true}) {
        const Tensor x = normal_tensor({n}, random, 4), scale = normal_tensor({n}, random), shift = normal_tensor({n}, random);
        const float* from = x.data<float>();
        std::vector<float> got(static_cast<size_t>(n) + 1, 77);
        set->normalize(from, 1, n, 0.01f, centred, scale.data<float>(), shift.data<float>(), got.data());
        double mean = 0, square = 0;
        for (int64_t i = 0; centred && i < n; ++i) mean += from[i] / static_cast<double>(n);
        for (int64_t i = 0; i < n; ++i) square += (from[i] - mean) * (from[i] - mean) / static_cast<double>(n);
        for (int64_t i = 0; i < n; ++i)
          EXPECT_NEAR(got[static_cast<size_t>(i)],
                      (from[i] - mean) / std::sqrt(square + 0.01f) * scale.data<float>()[i] + shift.data<float>()[i], 5e-6)
              << n << " " << centred;
        EXPECT_EQ(got.back(), 77);
      }
}

}  // namespace
}  // namespace cytodet
