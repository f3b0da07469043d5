// What transformers are made of: GELU behind products, products of computed sides, attention. Against the plain evals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "exec/kernels/kernels.h"
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

AttrMap flag(const std::string& name) {
  AttrMap a;
  a.emplace(name, true);
  return a;
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
    const Answers a =
        run_both(g, {{"x", normal_tensor({2, 9, 40}, random)}, {"other", normal_tensor({2, 9, 70}, random)}}, {"out"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6) << spelling;
    EXPECT_THAT(a.kernels, UnorderedElementsAre("alias", "gemm")) << spelling;
  }
}

// ConvNeXt's scale of each channel joins the weights, also in 8 bits and where it is negative.
TEST(Transformers, DenseLayerTimesNumbersOfChannels) {
  std::mt19937 random(17);
  for (const bool quantized : {false, true}) {
    Graph g;
    placeholder(g, "x", {2, 9, 40});
    placeholder(g, "other", {2, 9, 70});
    constant(g, "flat", Tensor::from<int32_t>({2}, {18, 40}));
    constant(g, "back", Tensor::from<int32_t>({3}, {2, 9, 70}));
    const Tensor w = normal_tensor({40, 70}, random, 0.3f);
    constant(g, "w", w);
    constant(g, "bias", normal_tensor({70}, random));
    constant(g, "gamma", normal_tensor({70}, random));
    add(g, "rows", "Reshape", {"x", "flat"});
    const NodeId product = add(g, "product", "MatMul", {"rows", "w"});
    add(g, "map", "Reshape", {"product", "back"});
    add(g, "biased", "BiasAdd", {"map", "bias"});
    add(g, "scaled", "Mul", {"gamma", "biased"});
    add(g, "out", "AddV2", {"other", "scaled"});
    const QuantParams quant{0.03f, 10, false};
    if (quantized) set_quantized(g, product, quant, quantize_weights(w, 70, true));
    const Answers a =
        run_both(g, {{"x", tensor_near_q8({2, 9, 40}, quant, random)}, {"other", normal_tensor({2, 9, 70}, random)}}, {"out"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), quantized ? 1e-5 : 2e-6);
    EXPECT_THAT(a.kernels, UnorderedElementsAre("alias", quantized ? "int8_gemm" : "gemm"));
  }
}

// A norm, attention and GELU store their results as the 8-bit product behind them reads them.
TEST(Transformers, ResultsAreStoredIn8Bits) {
  std::mt19937 random(18);
  const AttentionCase c{2, 30, 2, 20, 0, false};
  Graph g = attention_graph(c, random);
  const Tensor w = normal_tensor({40, 80}, random, 0.2f), back = normal_tensor({80, 40}, random, 0.2f);
  constant(g, "w", w);
  constant(g, "w2", back);
  constant(g, "axes", Tensor::from<int32_t>({1}, {1}));
  constant(g, "epsilon", Tensor::scalar(1e-3f));
  const NodeId first = add(g, "first", "MatMul", {"y", "w"});
  add_gelu(g, "gelu", "first", 0);
  const NodeId second = add(g, "second", "MatMul", {"gelu", "w2"});
  add(g, "mean", "Mean", {"second", "axes"}, kept_dims());
  add(g, "squares", "SquaredDifference", {"second", "mean"});
  add(g, "variance", "Mean", {"squares", "axes"}, kept_dims());
  add(g, "sum", "AddV2", {"variance", "epsilon"});
  add(g, "root", "Rsqrt", {"sum"});
  add(g, "centred", "Sub", {"second", "mean"});
  add(g, "norm", "Mul", {"centred", "root"});
  constant(g, "w3", w);
  const NodeId third = add(g, "third", "MatMul", {"norm", "w3"});
  set_quantized(g, first, {0.03f, 0, false}, quantize_weights(w, 80, true));
  set_quantized(g, second, {0.02f, 20, false}, quantize_weights(back, 40, true));
  set_quantized(g, third, {0.03f, 3, false}, quantize_weights(w, 80, true));
  const Answers a = run_both(g, attention_inputs(c, random), {"third"});
  // GELU to 2e-3 is a tenth of a step of 0.02, so that one value in ten becomes its neighbour; with Relu there it is over 40 dB.
  EXPECT_GT(sqnr_db(a.plan[0], a.plain[0]), 36);
  EXPECT_THAT(a.kernels, UnorderedElementsAre("attention", "int8_gemm", "norm"));
}

// Half of GELU, and one whose inner value is read elsewhere, are none.
TEST(Transformers, SimilarToGeluStaysAsItIs) {
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
      const Shape a_shape = sides & 1 ? Shape{2, 3, k, m} : Shape{2, 3, m, k},
                  b_shape = sides & 2 ? Shape{2, 3, n, k} : Shape{2, 3, k, n};
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

// The same on Einsum, as Keras' MultiHeadAttention writes it.
TEST(Transformers, AttentionOnEinsum) {
  std::mt19937 random(16);
  Graph g;
  for (const char* name : {"q", "k", "v"}) placeholder(g, name, {2, 30, 3, 24});
  constant(g, "factor", Tensor::scalar(0.2f));
  AttrMap scores, sums;
  scores.emplace("equation", std::string("aecd,abcd->acbe"));
  sums.emplace("equation", std::string("acbe,aecd->abcd"));
  add(g, "scaled", "Mul", {"q", "factor"});
  add(g, "scores", "Einsum", {"k", "scaled"}, std::move(scores));
  add(g, "shares", "Softmax", {"scores"});
  add(g, "y", "Einsum", {"shares", "v"}, std::move(sums));
  std::map<std::string, Tensor> inputs;
  for (const char* name : {"q", "k", "v"}) inputs[name] = normal_tensor({2, 30, 3, 24}, random, 2);
  const Answers a = run_both(g, inputs, {"y"});
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 5e-6);
  EXPECT_THAT(a.kernels, ElementsAre("attention"));
}

TEST(Transformers, EinsumsOfTwoComputedSides) {
  std::mt19937 random(15);
  for (const auto& [equation, a, b] : {std::tuple{"abc,acd->abd", Shape{2, 7, 5}, Shape{2, 5, 9}},
                                       {"bhid,bhjd->bhij", {2, 3, 4, 6}, {2, 3, 5, 6}},
                                       {"ij,kj->ki", {4, 6}, {5, 6}},
                                       {"abij,acij->abc", {2, 3, 4, 5}, {2, 6, 4, 5}},
                                       {"abc,abd->acd", {2, 7, 5}, {2, 7, 4}}}) {
    Graph g;
    placeholder(g, "a", a);
    placeholder(g, "b", b);
    AttrMap attrs;
    attrs.emplace("equation", std::string(equation));
    add(g, "c", "Einsum", {"a", "b"}, std::move(attrs));
    const Answers got = run_both(g, {{"a", normal_tensor(a, random)}, {"b", normal_tensor(b, random)}}, {"c"});
    EXPECT_LT(worst_difference(got.plan[0], got.plain[0]), 2e-6) << equation;
    EXPECT_THAT(got.kernels, ElementsAre("matmul")) << equation;
  }
}

TEST(Transformers, AProductThatBecomesANumber) {
  std::mt19937 random(17);
  Graph g;
  placeholder(g, "a", {1, 6});
  placeholder(g, "b", {6, 1});
  constant(g, "no_dimensions", Tensor(DType::i32, {0}));
  add(g, "c", "MatMul", {"a", "b"});
  add(g, "y", "Reshape", {"c", "no_dimensions"});
  const Answers a = run_both(g, {{"a", normal_tensor({1, 6}, random)}, {"b", normal_tensor({6, 1}, random)}}, {"y"});
  EXPECT_EQ(a.plan[0].shape(), Shape());
  EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6);
}

// A product of all rows of a batch has no image whose gate could scale its weights.
TEST(Transformers, GatesBeforeAProductOfABatch) {
  std::mt19937 random(18);
  for (const int64_t batch : {1, 2})
    for (const bool convolution : {false, true}) {
      Graph g;
      placeholder(g, "x", {batch, 3, 4, 8});
      placeholder(g, "gate", {batch, 1, 1, 8});
      add(g, "gated", "Mul", {"x", "gate"});
      constant(g, "w", normal_tensor(convolution ? Shape{1, 1, 8, 5} : Shape{8, 5}, random));
      add(g, "y", convolution ? "Conv2D" : "BatchMatMulV2", {"gated", "w"}, convolution ? conv_attrs("SAME") : AttrMap());
      const Answers a =
          run_both(g, {{"x", normal_tensor({batch, 3, 4, 8}, random)}, {"gate", normal_tensor({batch, 1, 1, 8}, random)}}, {"y"});
      EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 2e-6) << batch << convolution;
      const std::set<std::string> one{"gemm"}, two{"gate", "gemm"};
      EXPECT_EQ(a.kernels, batch == 1 || convolution ? one : two) << batch << convolution;
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

TEST(AttentionKernels, ExponentialsOfRows) {
  std::mt19937 random(12);
  const KernelSet& set = kernels();
  for (int64_t panels : {1, 2, 3, 7}) {
    const int64_t n = panels * set.panel, lda = n + 5, rows = 4;
    Tensor x = normal_tensor({rows, lda}, random, 20);
    x.data<float>()[3] = -INFINITY;
    x.data<float>()[3 * lda + 2] = NAN;
    Tensor powers = x.clone();
    float inverse[4];
    set.exp_rows(powers.data<float>(), lda, rows, n, inverse);
    for (int64_t r = 0; r < rows; ++r) {
      const float *from = x.data<float>() + r * lda, *to = powers.data<float>() + r * lda;
      for (int64_t i = n; i < lda; ++i) EXPECT_EQ(to[i], from[i]);
      if (r == 3) {
        EXPECT_TRUE(std::isnan(inverse[r]));
        continue;
      }
      const double largest = *std::max_element(from, from + n);
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += std::exp(from[i] - largest);
      for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(to[i] * double{inverse[r]}, std::exp(from[i] - largest) / sum, 1e-6) << n;
    }
    EXPECT_LT(powers.data<float>()[3], 1e-30f);
  }
}

}  // namespace
}  // namespace cytodet
