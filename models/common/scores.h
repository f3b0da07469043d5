// From logits to scores of 0 to 1.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace cytodet::models {

inline float sigmoid(float logit) { return 1.0f / (1.0f + std::exp(-logit)); }

// A logit that is below all whose sigmoid exceeds `score` (0 to 1, neither of them) in float arithmetic.
inline float min_logit(double score) { return static_cast<float>(std::log(score / (1 - score))) - 1e-3f; }

// In place: e^x over the sum of all e^x. The largest is taken away first, so that none overflows.
inline void softmax(std::span<float> x) {
  if (x.empty()) return;
  const float largest = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (float& v : x) sum += v = std::exp(v - largest);
  for (float& v : x) v = static_cast<float>(v / sum);
}

}  // namespace cytodet::models
