// What transformers are made of: norms from their pieces, GELU behind products, products of computed sides, attention. Against the
// plain evals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "exec/kernels/expression/expression.h"
#include "tests/exec/answers.h"
#include "tests/exec/compare.h"
#include "tests/exec/gelu.h"
#include "tests/exec/quantized_net.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

AttrMap kept_dims() {
  AttrMap a;
  a.emplace("keep_dims", true);
  return a;
}
AttrMap flag(const std::string& name) {
  AttrMap a;
  a.emplace(name, true);
  return a;
}

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
      {"keras", {2, 4, 5, 12}, {1, 2, 3}, {4, 5, 12}},              // a layer norm over several axes
      {"keras", {2, 5, 6, 19}, {1, 2}, {19}},                       // an instance norm
      {"onnx", {3, 16, 70}, {1}, {70}},                             // the same, of one axis
      {"keras", {2, 30, 40, 4, 6}, {1, 2, 4}, {1, 1, 1, 4, 6}},     // a group norm
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

// What only looks like a norm: the mean is read elsewhere too, means go over other axes, the variance is of another value, epsilon
// differs by channel.
TEST(Norms, WhatIsNoneStaysAsItIs) {
  std::mt19937 random(6);
  for (const char* broken : {"read", "axes", "other", "epsilon", "sign"}) {
    const std::string what = broken;
    Graph g;
    placeholder(g, "x", {3, 8, 24});
    placeholder(g, "z", {3, 8, 24});
    constant(g, "axes", Tensor::from<int32_t>({1}, {2}));
    constant(g, "others", Tensor::from<int32_t>({1}, {1}));
    constant(g, "epsilon", what == "epsilon" ? Tensor::from<float>({8, 1}, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}) : Tensor::scalar(1.0f));
    add(g, "mean", "Mean", {"x", "axes"}, kept_dims());
    add(g, "squares", "SquaredDifference", {what == "other" ? "z" : "x", "mean"});
    add(g, "variance", "Mean", {"squares", what == "axes" ? "others" : "axes"}, kept_dims());
    add(g, "sum", "AddV2", {"variance", "epsilon"});
    add(g, "root", "Rsqrt", {"sum"});
    add(g, "centred", what == "sign" ? "AddV2" : "Sub", {"x", "mean"});
    add(g, "y", "Mul", {"centred", "root"});
    const std::vector<std::string> outputs = what == "read" ? std::vector<std::string>{"y", "mean"} : std::vector<std::string>{"y"};
    const Answers a = run_both(g, {{"x", normal_tensor({3, 8, 24}, random)}, {"z", normal_tensor({3, 8, 24}, random)}}, outputs);
    for (size_t i = 0; i < outputs.size(); ++i) EXPECT_LT(worst_difference(a.plan[i], a.plain[i]), 3e-6) << broken;
    EXPECT_THAT(a.kernels, Not(Contains("norm"))) << broken;
  }
}

// Keras' Dense on three dimensions: a product of rows between reshapes, then bias, GELU and residual in its epilogue.
TEST(Transformers, DenseLayerWithGelu) {
  std::mt19937 random(7);
  for (int spelling = 0; spelling < 3; ++spelling) {
    Graph g;
    placeholder(g, "x", {2, 9, 40});
    placeholder(g, "other", {2, 9, 70});
    constant(g, "flat", Tensor::from<int32_t>({2}, {18, 40}));
    constant(g, "back", Tensor::from<int32_t>({3}, {2, 9, 70}));
    constant(g, "w", normal_tensor({40, 70}, random, 0.3f));
    constant(g, "bias", normal_tensor({70}, random));
    add(g, "rows", "Reshape", {"x", "flat"});
    add(g, "product", "MatMul", {"rows", "w"});
    add(g, "map", "Reshape", {"product", "back"});
    add(g, "biased", "BiasAdd", {"map", "bias"});
    add_gelu(g, "y", "biased", spelling);
    add(g, "out", "AddV2", {"other", "y"});
    const Answers a = run_both(g, {{"x", normal_tensor({2, 9, 40}, random)}, {"other", normal_tensor({2, 9, 70}, random)}}, {"out"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6) << spelling;
    EXPECT_THAT(a.kernels, UnorderedElementsAre("alias", "gemm")) << spelling;
  }
}

// Half of GELU, and one whose inner value is read elsewhere, are none.
TEST(Transformers, WhatIsNoGeluStaysAsItIs) {
  std::mt19937 random(8);
  for (const bool read : {false, true}) {
    Graph g;
    placeholder(g, "x", {1, 4, 4, 12});
    constant(g, "w", normal_tensor({1, 1, 12, 20}, random));
    add(g, "conv", "Conv2D", {"x", "w"}, conv_attrs());
    add_gelu(g, "y", "conv", 1);
    if (!read) g.node(g.find("y")).inputs[1] = g.value("y/one");
    const std::vector<std::string> outputs = read ? std::vector<std::string>{"y", "y/erf"} : std::vector<std::string>{"y"};
    const Answers a = run_both(g, {{"x", normal_tensor({1, 4, 4, 12}, random)}}, outputs);
    for (size_t i = 0; i < outputs.size(); ++i) EXPECT_LT(worst_difference(a.plan[i], a.plain[i]), 2e-6);
    EXPECT_THAT(a.kernels, Contains("elementwise"));
  }
}

TEST(Transformers, ProductsOfComputedSides) {
  std::mt19937 random(9);
  for (const auto& [m, k, n] : {std::tuple{1, 1, 1}, {7, 33, 5}, {49, 32, 49}, {130, 64, 70}, {3, 700, 12}})
    for (int sides = 0; sides < 4; ++sides) {
      Graph g;
      const Shape a_shape = sides & 1 ? Shape{2, 3, k, m} : Shape{2, 3, m, k}, b_shape = sides & 2 ? Shape{2, 3, n, k} : Shape{2, 3, k, n};
      placeholder(g, "a", a_shape);
      placeholder(g, "b", b_shape);
      AttrMap attrs;
      attrs.emplace("adj_x", (sides & 1) != 0);
      attrs.emplace("adj_y", (sides & 2) != 0);
      add(g, "c", "BatchMatMulV2", {"a", "b"}, std::move(attrs));
      const Answers got = run_both(g, {{"a", normal_tensor(a_shape, random)}, {"b", normal_tensor(b_shape, random)}}, {"c"});
      EXPECT_LT(worst_difference(got.plan[0], got.plain[0]), 2e-6) << m << " " << k << " " << n << " " << sides;
      EXPECT_THAT(got.kernels, ElementsAre("matmul"));
    }
}

struct AttentionCase {
  int64_t batch, tokens, heads, width;
  int scores;         // 0: q is scaled; 1: the scores are divided; 2: neither, and a bias per head is added; 3: a computed one
  bool key_first;     // k comes transposed
  bool split = true;  // q, k and v are parts of one value
};

// Attention as networks write it: q, k and v of [batch, tokens, heads * width], heads apart, together again at the end.
Graph attention_graph(const AttentionCase& c, std::mt19937& random) {
  Graph g;
  const int64_t channels = c.heads * c.width;
  if (c.split) {
    placeholder(g, "x", {c.batch, c.tokens, 3 * channels});
    constant(g, "axis", Tensor::scalar(int32_t{2}));
    AttrMap parts;
    parts.emplace("num_split", int64_t{3});
    add(g, "qkv", "Split", {"axis", "x"}, std::move(parts));
  } else {
    for (const char* name : {"qkv", "keys", "values"}) placeholder(g, name, {c.batch, c.tokens, channels});
  }
  const auto as_int32 = [](int64_t x) { return static_cast<int32_t>(x); };
  constant(g, "apart", Tensor::from<int32_t>({4}, {as_int32(c.batch), as_int32(c.tokens), as_int32(c.heads), as_int32(c.width)}));
  constant(g, "heads_first", Tensor::from<int32_t>({4}, {0, 2, 1, 3}));
  constant(g, "keys_last", Tensor::from<int32_t>({4}, {0, 2, 3, 1}));
  constant(g, "factor", Tensor::scalar(c.scores == 1 ? 3.0f : 0.4f));
  const std::string from[] = {"qkv", c.split ? "qkv:1" : "keys", c.split ? "qkv:2" : "values"};
  const std::string names[] = {"q", "k", "v"};
  for (size_t i = 0; i < 3; ++i) {
    add(g, names[i] + "_apart", "Reshape", {from[i], "apart"});
    add(g, names[i], "Transpose", {names[i] + "_apart", i == 1 && c.key_first ? "keys_last" : "heads_first"});
  }
  std::string q = "q", scores = "scores";
  if (c.scores == 0) add(g, q = "scaled", "Mul", {"q", "factor"});
  add(g, "scores", "BatchMatMulV2", {q, "k"}, c.key_first ? AttrMap{} : flag("adj_y"));
  if (c.scores == 1) add(g, scores = "divided", "RealDiv", {"scores", "factor"});
  if (c.scores == 2) {
    constant(g, "bias", normal_tensor({c.heads, c.tokens, c.tokens}, random));
    add(g, scores = "biased", "AddV2", {"scores", "bias"});
  }
  if (c.scores == 3) {
    placeholder(g, "mask", {c.batch, 1, 1, c.tokens});
    add(g, scores = "biased", "AddV2", {"scores", "mask"});
  }
  add(g, "shares", "Softmax", {scores});
  add(g, "sums", "BatchMatMulV2", {"shares", "v"});
  add(g, "tokens_first", "Transpose", {"sums", "heads_first"});
  constant(g, "together", Tensor::from<int32_t>({2}, {as_int32(c.batch * c.tokens), as_int32(channels)}));
  add(g, "y", "Reshape", {"tokens_first", "together"});
  return g;
}

std::map<std::string, Tensor> attention_inputs(const AttentionCase& c, std::mt19937& random) {
  std::map<std::string, Tensor> inputs;
  const int64_t channels = c.heads * c.width;
  if (c.split)
    inputs["x"] = normal_tensor({c.batch, c.tokens, 3 * channels}, random, 2);
  else
    for (const char* name : {"qkv", "keys", "values"}) inputs[name] = normal_tensor({c.batch, c.tokens, channels}, random, 2);
  if (c.scores == 3) inputs["mask"] = normal_tensor({c.batch, 1, 1, c.tokens}, random, 5);
  return inputs;
}

TEST(Transformers, Attention) {
  const AttentionCase cases[] = {
      {1, 196, 3, 64, 0, false},       {2, 49, 3, 32, 2, false},      {2, 49, 3, 32, 2, true},  {3, 20, 4, 8, 1, true, false},
      {2, 65, 2, 17, 3, false, false}, {1, 1, 1, 1, 0, false, false}, {5, 7, 12, 20, 3, false}, {1, 300, 1, 40, 1, false},
  };
  std::mt19937 random(10);
  for (const AttentionCase& c : cases) {
    const Graph g = attention_graph(c, random);
    const Answers a = run_both(g, attention_inputs(c, random), {"y"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 5e-6) << c.tokens << " tokens";
    EXPECT_THAT(a.kernels, ElementsAre("attention")) << c.tokens << " tokens";
  }
}

// Scores that others read too are computed as they stand.
TEST(Transformers, AttentionWhoseScoresAreRead) {
  std::mt19937 random(11);
  const AttentionCase c{1, 30, 2, 16, 0, false};
  const Graph g = attention_graph(c, random);
  const Answers a = run_both(g, attention_inputs(c, random), {"y", "scores", "shares"});
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(worst_difference(a.plan[i], a.plain[i]), 5e-6) << i;
  EXPECT_THAT(a.kernels, Not(Contains("attention")));
  EXPECT_THAT(a.kernels, Contains("matmul"));
}

// Every instruction set of the tables that this CPU has, against double.
TEST(ExpressionKernels, ExponentialsAndNormsOfRows) {
  std::vector<const ExpressionKernels*> sets{&kExpressionBaseline};
  if (isa() >= Isa::avx2) sets.push_back(&kExpressionAvx2);
  if (isa() >= Isa::avx512) sets.push_back(&kExpressionAvx512);
  std::mt19937 random(12);
  for (const ExpressionKernels* set : sets)
    for (int64_t n : {1, 3, 16, 31, 32, 33, 100, 192, 700}) {
      const int64_t rows = 3, lda = n + 5;
      const Tensor x = normal_tensor({rows, lda}, random, 4);
      Tensor powers = x.clone();
      float inverse[3];
      set->exp_rows(powers.data<float>(), lda, rows, n, inverse);
      const Tensor scale = normal_tensor({n}, random), shift = normal_tensor({n}, random);
      for (int64_t r = 0; r < rows; ++r) {
        const float *from = x.data<float>() + r * lda, *to = powers.data<float>() + r * lda;
        const double largest = *std::max_element(from, from + n);
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += std::exp(from[i] - largest);
        for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(to[i] * double{inverse[r]}, std::exp(from[i] - largest) / sum, 1e-6) << n;
        for (int64_t i = n; i < lda; ++i) EXPECT_EQ(to[i], from[i]) << n;
        for (const bool centred : {false, true}) {
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
    }
}

}  // namespace
}  // namespace cytodet
