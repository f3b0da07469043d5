// Swish behind products of codes: which form is taken, and how far each strays.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "exec/steps/packed_conv.h"
#include "graph/quantized/quant_nodes.h"
#include "tests/exec/answers.h"
#include "tests/exec/compare.h"
#include "tests/exec/random.h"
#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;

// Swish behind codes is exact where its error would show, and keeps its lower clamp where the codes do not reach its least
// result.
TEST(Int8Swish, IsAsExactAsTheCodesBehindIt) {
  std::mt19937 random(7);
  DenseConv conv;
  conv.shape.in_c = 4, conv.shape.out_c = 5;
  conv.weights = normal_tensor({1, 1, 4, 5}, random);
  conv.bias.assign(5, 0.0f);
  conv.quant = QuantConv{{}, {0.02f, 10, false}, quantize_weights(conv.weights, 5, true)};
  const PackedDense product(kernels(), conv);
  const auto act_of = [&](const Quant& quant) {
    return CodedTable(product, CodeTable(quant, {}, 5, product.panel), Act::swish).act_of(0);
  };
  const float edge = kSwish8Error / kSwish8Codes;  // a finer code shows the error
  const float fine_edge = fine_swish_error(product.most(0)) / kSwish8Codes;
  EXPECT_EQ(act_of({fine_edge * 0.99f, 100, false}), Act::swish);
  EXPECT_EQ(act_of({fine_edge * 1.01f, 100, false}), Act::swish_fine);
  EXPECT_EQ(act_of({edge * 0.99f, 100, false}), Act::swish_fine);
  EXPECT_EQ(act_of({edge * 1.01f, 100, false}), Act::swish8_bounded);
  EXPECT_EQ(act_of({edge * 1.01f, 3, false}), Act::swish8);
  EXPECT_EQ(act_of({0.1f, 3, false}), Act::swish8_bounded);
  // The same with a bound of 1.2: small numbers.
  DenseConv little = conv;
  little.quant->quant.scale *= 1.2f / product.most(0);
  const PackedDense small(kernels(), little);
  EXPECT_NEAR(small.most(0), 1.2, 1e-3);
  const float small_edge = small_swish_error(small.most(0)) / kSwish8Codes;
  const auto small_act_of = [&](float unit) {
    return CodedTable(small, CodeTable({unit, 100, false}, {}, 5, small.panel), Act::swish).act_of(0);
  };
  EXPECT_EQ(small_act_of(small_edge * 1.01f), Act::swish_small);
  EXPECT_EQ(small_act_of(small_edge * 0.99f), Act::swish);
  EXPECT_EQ(small.act_of(Act::swish, 0, 1), Act::swish_small);
  conv.bias[2] = 2 * kSwishBound;
  const PackedDense large(kernels(), conv);
  EXPECT_EQ(CodedTable(large, CodeTable({0.1f, 3, false}, {}, 5, large.panel), Act::swish).act_of(0), Act::swish8);
  EXPECT_EQ(CodedTable(large, CodeTable({0.001f, 200, false}, {}, 5, large.panel), Act::swish).act_of(0), Act::swish);
}

// The error is small beside small numbers too, in every set: error(most, x, wanted) of x among numbers that are at most `most`.
template <class ErrorOf>
void expect_swish(Act act, std::initializer_list<float> mosts, ErrorOf error) {
  for (float most : mosts) {
    std::vector<float> x(4001), y(x.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = most * (static_cast<float>(i) / 2000 - 1);
    const WeightedRow row{x.data()};
    kernels().weighted_sum_row(&row, 1, act, y.data(), 1, static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      const double wanted = x[i] / (1 + std::exp(-double{x[i]}));
      ASSERT_NEAR(y[i], wanted, error(most, x[i], wanted) + 1e-37) << x[i] << " of " << most;
    }
  }
}

TEST(Int8Swish, FineErrorOfEveryNumber) {
  expect_swish(Act::swish_fine, {80.0f, 5.0f, 0.3f, 0.1f, 0.01f, 1e-4f},
               [](float most, float, double wanted) { return fine_swish_error(most) + std::abs(wanted) / 16384; });
}

TEST(Int8Swish, SmallErrorOfEveryNumber) {
  expect_swish(Act::swish_small, {kSmallSwishBound, 1.0f, 0.3f, 0.01f, 1e-4f, 1e-20f},
               [](float, float x, double) { return double{small_swish_error(std::abs(x))}; });
}

// Numbers beyond the bound of the bounded swish are themselves.
TEST(Int8Swish, OfLargeNumbersIsTheNumber) {
  std::mt19937 random(9);
  const Quant quant{0.021f, 13, false};
  for (const bool depthwise : {false, true}) {
    SCOPED_TRACE(depthwise ? "depthwise" : "dense");
    Graph g;
    placeholder(g, "x", {1, 5, 6, 8});
    const Tensor w = normal_tensor(depthwise ? Shape{3, 3, 8, 1} : Shape{1, 1, 8, 8}, random);
    Tensor b(DType::f32, {8});
    std::fill_n(b.data<float>(), 8, 200.0f);
    constant(g, "w", w);
    constant(g, "b", b);
    const NodeId conv = add(g, "conv", depthwise ? "DepthwiseConv2dNative" : "Conv2D", {"x", "w"}, conv_attrs("SAME"));
    add(g, "bias", "BiasAdd", {"conv", "b"});
    add(g, "sigmoid", "Sigmoid", {"bias"});
    add(g, "act", "Mul", {"bias", "sigmoid"});
    set_quantized(g, conv, quant, quantize_weights(w, 8, true));
    const Answers a = run_both(g, {{"x", coded_tensor({1, 5, 6, 8}, quant, random)}}, {"act"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-3);
  }
}

}  // namespace
}  // namespace cytodet
