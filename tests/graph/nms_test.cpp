// Suppression against its definition, on boxes as they come: corners in any order, without area, equal, infinite, NaN.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "tests/graph/fixtures.h"

namespace cytodet {
namespace {

using namespace test;

struct Boxes {
  std::vector<std::array<float, 4>> corners;
  std::vector<float> scores;
};

// Few different numbers, so that boxes touch, coincide and have equal scores.
Boxes random_boxes(int count, std::mt19937& random, bool odd) {
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  Boxes b;
  for (int i = 0; i < count; ++i) {
    std::array<float, 4> box;
    for (float& v : box) v = static_cast<float>(pick(40)) / 16.0f;
    float score = static_cast<float>(pick(60) - 20) / 37.0f;
    if (odd && pick(8) == 0) {
      const float kOdd[] = {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN(), -0.0f, 0.0f};
      (pick(2) ? box[static_cast<size_t>(pick(4))] : score) = kOdd[pick(5)];
    }
    b.corners.push_back(box);
    b.scores.push_back(score);
  }
  return b;
}

// Intersection over union, as NonMaxSuppression defines it: 0 where a box has no area.
float overlap(const std::array<float, 4>& a, const std::array<float, 4>& b) {
  const auto ordered = [](const std::array<float, 4>& c) {
    return std::array<float, 4>{std::min(c[0], c[2]), std::min(c[1], c[3]), std::max(c[0], c[2]), std::max(c[1], c[3])};
  };
  const auto p = ordered(a), q = ordered(b);
  const float area_p = (p[2] - p[0]) * (p[3] - p[1]), area_q = (q[2] - q[0]) * (q[3] - q[1]);
  if (area_p <= 0 || area_q <= 0) return 0;
  const float inter =
      std::max(0.0f, std::min(p[2], q[2]) - std::max(p[0], q[0])) * std::max(0.0f, std::min(p[3], q[3]) - std::max(p[1], q[1]));
  return inter / (area_p + area_q - inter);
}

std::vector<int> by_definition(const Boxes& b, int most, float threshold, float least) {
  std::vector<int> order;
  for (int i = 0; i < static_cast<int>(b.scores.size()); ++i)
    if (b.scores[static_cast<size_t>(i)] > least) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](int i, int j) { return b.scores[static_cast<size_t>(i)] > b.scores[static_cast<size_t>(j)]; });
  std::vector<int> kept;
  for (int i : order) {
    if (static_cast<int>(kept.size()) == most) break;
    if (std::none_of(kept.begin(), kept.end(), [&](int k) {
          return overlap(b.corners[static_cast<size_t>(i)], b.corners[static_cast<size_t>(k)]) > threshold;
        }))
      kept.push_back(i);
  }
  return kept;
}

std::vector<int> by_op(const Boxes& b, int most, float threshold, float least) {
  const int64_t n = static_cast<int64_t>(b.scores.size());
  Tensor boxes(DType::f32, {n, 4});
  for (int64_t i = 0; i < 4 * n; ++i) boxes.data<float>()[i] = b.corners[static_cast<size_t>(i / 4)][static_cast<size_t>(i % 4)];
  Node node;
  node.name = "suppressed";
  node.op = "NonMaxSuppressionV3";
  const std::vector<Tensor> in{boxes, Tensor::from({n}, b.scores), Tensor::scalar(most), Tensor::scalar(threshold),
                               Tensor::scalar(least)};
  const std::vector<int64_t> kept = evaluate(node, in)[0].as_ints();
  return {kept.begin(), kept.end()};
}

TEST(NonMaxSuppression, GivesWhatItsDefinitionGives) {
  std::mt19937 random(3);
  for (int round = 0; round < 400; ++round) {
    const Boxes b = random_boxes(static_cast<int>(random() % 90), random, round % 2 == 1);
    const int most = static_cast<int>(random() % 60);
    const float thresholds[] = {-0.5f, 0, 0.1f, 0.25f, 0.5f, 0.7f, 1, 2},
                limits[] = {-std::numeric_limits<float>::infinity(), -0.1f, 0, 0.3f};
    const float threshold = thresholds[random() % 8], least = limits[random() % 4];
    EXPECT_EQ(by_op(b, most, threshold, least), by_definition(b, most, threshold, least)) << round;
  }
}

}  // namespace
}  // namespace cytodet
