// From logits to scores of 0 to 1.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace cytodet::models {

inline float sigmoid(float logit) { return 1.0f / (1.0f + std::exp(-logit)); }

// A logit that is below all whose sigmoid exceeds `score` (0 to 1, neither of them) in float arithmetic.
inline float min_logit(double score) { return static_cast<float>(std::log(score / (1 - score))) - 1e-3f; }

// What a network's values are: scores as they are; logits, each of its own; logits of which the softmax of all of a box is taken.
enum class ScoreForm { probability, sigmoid, softmax };

// The score of one value; of softmax, one that is taken already.
inline float score_of(ScoreForm form, float value) { return form == ScoreForm::sigmoid ? sigmoid(value) : value; }
// A value that is not above any whose score exceeds `score`, so that scores are taken of few.
inline float min_value(ScoreForm form, double score) {
  return form == ScoreForm::sigmoid ? min_logit(std::max(score, 1e-9)) : static_cast<float>(score);
}

// In place: e^x over the sum of all e^x. The largest is taken away first, so that none overflows.
inline void softmax(std::span<float> x) {
  if (x.empty()) return;
  const float largest = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (float& v : x) sum += v = std::exp(v - largest);
  for (float& v : x) v = static_cast<float>(v / sum);
}

}  // namespace cytodet::models
