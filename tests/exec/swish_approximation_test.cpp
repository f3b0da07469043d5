// Swish behind products of quantized values: which form is taken, and how far each strays.
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

// Swish behind quantized values is exact where its error would show, and keeps its lower clamp where the quantized values do not
// reach its least result.
TEST(SwishApproximation, IsAsExactAsTheQuantizationBehindIt) {
  std::mt19937 random(7);
  DenseConv conv;
  conv.shape.in_c = 4, conv.shape.out_c = 5;
  conv.weights = normal_tensor({1, 1, 4, 5}, random);
  conv.bias.assign(5, 0.0f);
  conv.quant = QuantizedConv{{}, {0.02f, 10, false}, quantize_weights(conv.weights, 5, true)};
  const PackedDense product(kernels(), conv);
  const auto act_of = [&](const QuantParams& quant) {
    return PackedRequantizeParams(product, PackedQuantizeParams(quant, {}, 5, product.panel), Act::swish).act_of(0);
  };
  const float edge = kSwish2e3Error / kMaxSwishErrorSteps;  // a finer quantized value shows the error
  const float fine_edge = swish_3e5_error(product.max_abs(0)) / kMaxSwishErrorSteps;
  EXPECT_EQ(act_of({fine_edge * 0.99f, 100, false}), Act::swish);
  EXPECT_EQ(act_of({fine_edge * 1.01f, 100, false}), Act::swish_3e5);
  EXPECT_EQ(act_of({edge * 0.99f, 100, false}), Act::swish_3e5);
  EXPECT_EQ(act_of({edge * 1.01f, 100, false}), Act::swish_2e3_bounded);
  EXPECT_EQ(act_of({edge * 1.01f, 3, false}), Act::swish_2e3);
  EXPECT_EQ(act_of({0.1f, 3, false}), Act::swish_2e3_bounded);
  // The same with a bound of 1.2: small values.
  DenseConv little = conv;
  little.quant->quant.scale *= 1.2f / product.max_abs(0);
  const PackedDense small(kernels(), little);
  EXPECT_NEAR(small.max_abs(0), 1.2, 1e-3);
  const float small_edge = swish_small_error(small.max_abs(0)) / kMaxSwishErrorSteps;
  const auto small_act_of = [&](float unit) {
    return PackedRequantizeParams(small, PackedQuantizeParams({unit, 100, false}, {}, 5, small.panel), Act::swish).act_of(0);
  };
  EXPECT_EQ(small_act_of(small_edge * 1.01f), Act::swish_small_3e5);
  EXPECT_EQ(small_act_of(small_edge * 0.99f), Act::swish);
  EXPECT_EQ(small.act_of(Act::swish, 0, 1, false), Act::swish_small_3e5);
  EXPECT_EQ(small.act_of(Act::swish, 0, 1, true), Act::swish_2e3);
  conv.bias[2] = 2 * kSwish2e3MaxInput;
  const PackedDense large(kernels(), conv);
  EXPECT_EQ(PackedRequantizeParams(large, PackedQuantizeParams({0.1f, 3, false}, {}, 5, large.panel), Act::swish).act_of(0),
            Act::swish_2e3);
  EXPECT_EQ(PackedRequantizeParams(large, PackedQuantizeParams({0.001f, 200, false}, {}, 5, large.panel), Act::swish).act_of(0),
            Act::swish);
}

// The error is small beside small values too, in every set: error(most, x, wanted) of x among values that are at most `most`.
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

TEST(SwishApproximation, ErrorOfSwish3e5) {
  expect_swish(Act::swish_3e5, {80.0f, 5.0f, 0.3f, 0.1f, 0.01f, 1e-4f},
               [](float most, float, double wanted) { return swish_3e5_error(most) + std::abs(wanted) / 16384; });
}

TEST(SwishApproximation, ErrorOfSwishSmall3e5) {
  expect_swish(Act::swish_small_3e5, {kSwishSmallMaxInput, 1.0f, 0.3f, 0.01f, 1e-4f, 1e-20f},
               [](float, float x, double) { return double{swish_small_error(std::abs(x))}; });
}

// Values beyond the bound of the bounded swish are themselves.
TEST(SwishApproximation, LargeValuesPassUnchanged) {
  std::mt19937 random(9);
  const QuantParams quant{0.021f, 13, false};
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
    const Answers a = run_both(g, {{"x", tensor_near_q8({1, 5, 6, 8}, quant, random)}}, {"act"});
    EXPECT_LT(worst_difference(a.plan[0], a.plain[0]), 1e-3);
  }
}

}  // namespace
}  // namespace cytodet
