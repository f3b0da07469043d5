#include "quant/clusters.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "core/namespaces.h"

namespace cytodet {
namespace {

using namespace quant;

std::vector<int64_t> counts_of(const std::map<int, int64_t>& histogram) {
  std::vector<int64_t> counts(256, 0);
  for (const auto& [code, n] : histogram) counts[static_cast<size_t>(int64_t{code} + 128)] = n;
  return counts;
}

TEST(Clusters, KnownBest) {
  const auto bell = counts_of({{-3, 1}, {-2, 5}, {-1, 10}, {0, 20}, {1, 10}, {2, 5}, {3, 1}});
  EXPECT_EQ(best_clusters(bell, 3).levels, (std::vector{-1, 0, 1}));
  EXPECT_EQ(best_clusters(bell, 3).cost, 18);
  EXPECT_EQ(best_clusters(bell, 2).levels, (std::vector{-1, 1}));
  EXPECT_EQ(best_clusters(bell, 2).cost, 38);
  const auto tails = counts_of({{-127, 1}, {-100, 2}, {-99, 2}, {0, 50}, {1, 3}, {2, 3}, {60, 4}, {64, 4}, {127, 1}});
  EXPECT_EQ(best_clusters(tails, 4).levels, (std::vector{-105, 0, 62, 127}));
  EXPECT_EQ(best_clusters(tails, 4).cost, 653);
  EXPECT_EQ(best_clusters(tails, 16).cost, 0);
  EXPECT_EQ(best_clusters(tails, 16).levels.size(), 9u);
}

// dB of 20,000 normal weights in so many values.
TEST(Clusters, BellShapedWeights) {
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  std::vector<double> w(20000);
  double most = 0;
  for (double& v : w) v = normal(random), most = std::max(most, std::abs(v));
  Tensor codes(DType::i8, {20000});
  for (size_t i = 0; i < w.size(); ++i) codes.data<int8_t>()[i] = static_cast<int8_t>(std::lround(w[i] * 127 / most));
  for (const auto& [steps, db] : {std::pair{64, 31.2}, {32, 25.9}, {16, 20.2}}) {
    const Clusters found = best_clusters(value_counts(codes), steps);
    double signal = 0, noise = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      double nearest = 1e9;
      for (int level : found.levels) nearest = std::min(nearest, std::abs(w[i] * 127 / most - level));
      signal += w[i] * w[i] * 127 * 127 / most / most, noise += nearest * nearest;
    }
    EXPECT_NEAR(10 * std::log10(signal / noise), db, 0.5) << steps;
  }
}

}  // namespace
}  // namespace cytodet
