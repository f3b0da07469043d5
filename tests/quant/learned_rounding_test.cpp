#include "quant/learned_rounding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "quant/products.h"
#include "quant/quantize.h"
#include "quant/sensitivity.h"
#include "tests/quant/subjects.h"

namespace cytodet {
namespace {

using namespace test;

// Inputs of a layer: neighbours alike, as in a feature map.
std::vector<float> correlated(int64_t rows, int64_t n, float likeness, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(rows * n));
  for (int64_t r = 0; r < rows; ++r) {
    float before = normal(random);
    for (int64_t i = 0; i < n; ++i) {
      before = likeness * before + std::sqrt(1 - likeness * likeness) * normal(random);
      x[static_cast<size_t>(r * n + i)] = before / (1 + std::exp(-before));
    }
  }
  return x;
}

InputMoments moments_of_rows(const std::vector<float>& x, int64_t rows, int64_t n, int64_t block) {
  InputMoments m;
  m.size = n;
  m.block = block;
  m.windows = rows;
  m.mean.assign(static_cast<size_t>(n), 0);
  m.products.assign(static_cast<size_t>(m.blocks() * block * block), 0);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i) {
      m.mean[static_cast<size_t>(i)] += x[static_cast<size_t>(r * n + i)] / static_cast<double>(rows);
      for (int64_t j = i; j < std::min(n, (i / block + 1) * block); ++j)
        m.products[static_cast<size_t>(i / block * block * block + i % block * block + j % block)] +=
            x[static_cast<size_t>(r * n + i)] * x[static_cast<size_t>(r * n + j)] / static_cast<float>(rows);
    }
  return m;
}

Tensor random_filter(Shape shape, unsigned seed) {
  Tensor w(DType::f32, std::move(shape));
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.2f);
  for (int64_t i = 0; i < w.size(); ++i) w.data<float>()[i] = normal(random);
  return w;
}

// dB of the results of a matrix product with the coded weights, less the mean that a bias takes back.
double result_db(const std::vector<float>& x, int64_t rows, const Tensor& w, const QuantizedWeights& q) {
  const Tensor coded = dequantize_weights(q);
  const int64_t n = w.dim(0), channels = w.dim(1);
  double signal = 0, noise = 0;
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0, sum2 = 0, exact = 0, exact2 = 0;
    for (int64_t r = 0; r < rows; ++r) {
      double y = 0, e = 0;
      for (int64_t i = 0; i < n; ++i) {
        const double v = static_cast<double>(x[static_cast<size_t>(r * n + i)]), weight = w.data<float>()[i * channels + c];
        y += v * weight, e += v * (static_cast<double>(coded.data<float>()[i * channels + c]) - weight);
      }
      sum += e, sum2 += e * e, exact += y, exact2 += y * y;
    }
    noise += sum2 - sum * sum / static_cast<double>(rows);
    signal += exact2 - exact * exact / static_cast<double>(rows);
  }
  return 10 * std::log10(signal / noise);
}

constexpr int64_t kRows = 4000, kInputs = 96, kOutputs = 40;

TEST(LearnedRounding, GainsOnInputsThatItDidNotSee) {
  const std::vector<float> seen = correlated(kRows, kInputs, 0.9f, 1), other = correlated(kRows, kInputs, 0.9f, 2);
  const InputMoments m = moments_of_rows(seen, kRows, kInputs, kInputs);
  const Tensor w = random_filter({kInputs, kOutputs}, 3);
  for (int bits : {8, 4}) {
    const WeightLimits limits{bits == 8 ? 127 : 7, false};
    const double nearest = result_db(other, kRows, w, quantize_weights(w, kOutputs, true, limits));
    const double learned = result_db(other, kRows, w, round_learned(w, kOutputs, true, limits, {}, &m, {}).weights);
    EXPECT_GT(learned, nearest + 4) << bits;
  }
}

TEST(LearnedRounding, KeepsToTheLimits) {
  const std::vector<float> seen = correlated(kRows, kInputs, 0.9f, 1);
  const InputMoments m = moments_of_rows(seen, kRows, kInputs, kInputs);
  const Tensor w = random_filter({kInputs, kOutputs}, 3);
  const QuantizedWeights safe = round_learned(w, kOutputs, true, {127, true}, {}, &m, {}).weights;
  EXPECT_TRUE(is_16bit_safe(safe.values, kOutputs));
  EXPECT_GT(result_db(seen, kRows, w, safe), result_db(seen, kRows, w, quantize_weights(w, kOutputs, true, {127, true})) + 3);
  const QuantizedWeights small = round_learned(w, kOutputs, true, {7, false}, {}, &m, {}).weights;
  for (int64_t i = 0; i < w.size(); ++i) EXPECT_LE(std::abs(small.values.data<int8_t>()[i]), 7);
  const std::vector<int> levels{-60, -21, -3, 0, 5, 33, 90};
  const QuantizedWeights few = round_learned(w, kOutputs, true, {127, false}, levels, &m, {}).weights;
  for (int64_t i = 0; i < w.size(); ++i)
    EXPECT_TRUE(std::find(levels.begin(), levels.end(), few.values.data<int8_t>()[i]) != levels.end());
}

// A weight that is no number, and moments that ran over, give codes near zero.
TEST(LearnedRounding, WhatIsNoNumberIsCodedAsZero) {
  InputMoments m = moments_of_rows(correlated(kRows, kInputs, 0.9f, 1), kRows, kInputs, kInputs);
  Tensor w = random_filter({kInputs, kOutputs}, 3);
  const std::vector<int> levels{-60, -21, 1, 33, 90};
  m.products[0] = INFINITY;
  for (const bool few : {false, true}) {
    const QuantizedWeights q = round_learned(w, kOutputs, true, {127, !few}, few ? levels : std::vector<int>(), &m, {}).weights;
    EXPECT_TRUE(few || is_16bit_safe(q.values, kOutputs));
    for (int64_t i = 0; few && i < w.size(); ++i)
      EXPECT_TRUE(std::find(levels.begin(), levels.end(), q.values.data<int8_t>()[i]) != levels.end());
  }
  w.data<float>()[7 * kOutputs] = NAN;
  const QuantizedWeights q = round_learned(w, kOutputs, true, {127, false}, levels, nullptr, {}).weights;
  EXPECT_EQ(q.values.data<int8_t>()[7 * kOutputs], 1);
}

// The filter is so small that every choice of codes can be tried.
TEST(LearnedRounding, IsNearTheBestOfAllChoices) {
  const int64_t n = 4;
  const std::vector<float> x = correlated(kRows, n, 0.95f, 5);
  const InputMoments m = moments_of_rows(x, kRows, n, n);
  double nearest_error = 0, learned_error = 0, best_error = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Tensor w = random_filter({n, 1}, seed);
    const QuantizedWeights nearest = quantize_weights(w, 1, true, {7, false});
    const auto error = [&](const int8_t* codes, float scale) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < n; ++j)
          sum += static_cast<double>(m.products[static_cast<size_t>(std::min(i, j) * n + std::max(i, j))]) *
                 (codes[i] * scale - w.data<float>()[i]) * (codes[j] * scale - w.data<float>()[j]);
      return sum;
    };
    const QuantizedWeights learned = round_learned(w, 1, true, {7, false}, {}, &m, {}).weights;
    double best = 1e9;
    for (int code = 0; code < 15 * 15 * 15 * 15; ++code) {
      const int8_t codes[4] = {static_cast<int8_t>(code % 15 - 7), static_cast<int8_t>(code / 15 % 15 - 7),
                               static_cast<int8_t>(code / 225 % 15 - 7), static_cast<int8_t>(code / 3375 - 7)};
      best = std::min(best, error(codes, learned.scales[0]));
    }
    nearest_error += error(nearest.values.data<int8_t>(), nearest.scales[0]);
    learned_error += error(learned.values.data<int8_t>(), learned.scales[0]);
    best_error += best;
  }
  EXPECT_LT(learned_error, 0.5 * nearest_error);
  EXPECT_LT(learned_error, 1.3 * best_error);
}

TEST(LearnedRounding, DepthwiseChannelsHaveTheirOwnMoments) {
  const int64_t taps = 9, channels = 6, multiplier = 2;
  InputMoments m;
  m.depthwise = true;
  m.size = taps;
  m.channels = channels;
  m.windows = kRows;
  m.mean.assign(static_cast<size_t>(taps * channels), 0);
  m.products.assign(static_cast<size_t>(taps * taps * channels), 0);
  for (int64_t i = 0; i < taps; ++i)
    for (int64_t j = i; j < taps; ++j)
      for (int64_t c = 0; c < channels; ++c)
        m.products[static_cast<size_t>((i * taps + j) * channels + c)] =
            static_cast<float>(c + 1) * std::pow(0.95f, static_cast<float>(j - i));
  const Tensor w = random_filter({3, 3, channels, multiplier}, 7);
  const auto error = [&](const QuantizedWeights& q) {
    const Tensor coded = dequantize_weights(q);
    double sum = 0;
    for (int64_t o = 0; o < channels * multiplier; ++o)
      for (int64_t i = 0; i < taps; ++i)
        for (int64_t j = 0; j < taps; ++j) {
          const auto off = [&](int64_t k) {
            const int64_t at = k * channels * multiplier + o;
            return static_cast<double>(coded.data<float>()[at]) - w.data<float>()[at];
          };
          sum += m.products[static_cast<size_t>((std::min(i, j) * taps + std::max(i, j)) * channels + o / multiplier)] * off(i) *
                 off(j);
        }
    return sum;
  };
  const QuantizedWeights nearest = quantize_weights(w, channels * multiplier, true, {7, false});
  EXPECT_LT(error(round_learned(w, channels * multiplier, true, {7, false}, {}, &m, {}).weights), 0.6 * error(nearest));
}

TEST(LearnedRounding, SumsOfProductsOfEverySize) {
  for (int64_t n : {1, 5, 7, 32, 33, 70})
    for (int64_t rows : {1, 3, 64}) {
      const std::vector<float> x = correlated(rows, n, 0.3f, 9);
      const int64_t stride = n + 3;
      std::vector<float> sums(static_cast<size_t>(n * stride), 1.0f);
      add_products(x.data(), rows, n, sums.data(), stride);
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = i; j < n; ++j) {
          double expected = 1;
          for (int64_t r = 0; r < rows; ++r)
            expected += static_cast<double>(x[static_cast<size_t>(r * n + i)]) * x[static_cast<size_t>(r * n + j)];
          ASSERT_NEAR(sums[static_cast<size_t>(i * stride + j)], expected, 1e-4) << n << " " << i << " " << j;
        }
    }
}

TEST(Moments, AreThoseOfTheWindows) {
  TestSubject s = lenet();
  const std::shared_ptr<const Moments> whole = second_moments(s.graph, s.plan, s.data, {int64_t{1} << 30, 100000, true});
  EXPECT_EQ(whole->images, 4);
  const InputMoments& first = whole->layers.at("Lenet/conv1_1/Conv2D");
  const Tensor filter = *s.graph.constant(s.graph.node(s.graph.require("Lenet/conv1_1/Conv2D")).inputs[1]);
  ASSERT_EQ(first.size, filter.size() / filter.dim(3));
  EXPECT_GT(first.windows, 4 * 100);
  // Blocks leave products out, not change them.
  const std::shared_ptr<const Moments> cut = second_moments(s.graph, s.plan, s.data, {100000, 100000, true});
  const InputMoments &fc = whole->layers.at("Lenet/fc7_1/MatMul"), &small = cut->layers.at("Lenet/fc7_1/MatMul");
  ASSERT_LT(small.block, fc.block);
  for (int64_t b = 0; b < small.blocks(); ++b)
    for (int64_t i = 0; i < small.length(b); ++i)
      for (int64_t j = i; j < small.length(b); ++j) {
        const float expected = fc.products[static_cast<size_t>((small.first(b) + i) * fc.block + small.first(b) + j)];
        ASSERT_NEAR(small.square(b)[i * small.block + j], expected, 1e-5f * std::abs(expected) + 1e-7f);
      }
  for (size_t i = 0; i < fc.mean.size(); ++i) ASSERT_DOUBLE_EQ(fc.mean[i], small.mean[i]);
}

TEST(Moments, QuantizeTakesThem) {
  TestSubject s = lenet();
  const Ranges ranges = calibrate(s.graph, s.plan, s.data, quiet()).ranges;
  const OutputSqnr outputs(s.graph, s.plan, s.data);
  QuantizeOptions options;
  options.weight_bits = 4;
  Graph nearest = s.graph, learned = s.graph, again = s.graph;
  quantize(nearest, ranges, options);
  options.moments = second_moments(s.graph, s.plan, s.data, {int64_t{1} << 30, 256, true});
  quantize(learned, ranges, options);
  quantize(again, ranges, options);
  EXPECT_GT(outputs.of(learned), outputs.of(nearest));
  EXPECT_EQ(outputs.of(learned), outputs.of(again));
}

TEST(FewBits, LayersThatAreNamedKeepEight) {
  TestSubject s = lenet();
  const Ranges ranges = calibrate(s.graph, s.plan, s.data, quiet()).ranges;
  for (bool nuq : {false, true}) {
    QuantizeOptions options;
    (nuq ? options.nuq_steps : options.weight_bits) = nuq ? 16 : 4;
    options.eight_bit_nodes = {"Lenet/fc7_1/MatMul"};
    Graph g = s.graph;
    std::map<std::string, int> bits;
    for (const QuantizedLayer& l : quantize(g, ranges, options).layers) bits[l.name] = l.weight_bits;
    EXPECT_EQ(bits.at("Lenet/fc7_1/MatMul"), 8);
    EXPECT_EQ(bits.at("Lenet/conv5_1/Conv2D"), 4);
    options.eight_bit_nodes = {"Lenet/fc7/MatMul"};
    Graph again = s.graph;
    EXPECT_THAT(error_of([&] { quantize(again, ranges, options); }), testing::HasSubstr("did you mean Lenet/fc7_1/MatMul"));
  }
}

}  // namespace
}  // namespace cytodet
