#include "eval/slide_scores.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace cytodet::eval {
namespace {

// Slides with labels by falling score. Calls f(positives, negatives so far) behind each group of equal scores.
template <class F>
void each_cut(const std::vector<double>& scores, const std::vector<int>& labels, const std::vector<uint32_t>& order,
              std::span<const int32_t> weights, F f) {
  double positives = 0, negatives = 0;
  for (size_t i = 0; i < order.size();) {
    const double score = scores[order[i]];
    for (; i < order.size() && scores[order[i]] == score; ++i) (labels[order[i]] ? positives : negatives) += weights[order[i]];
    f(positives, negatives);
  }
}

}  // namespace

const char* name_of(SlideScore score) {
  switch (score) {
    case SlideScore::maximum:
      return "maximum";
    case SlideScore::mean_of_top:
      return "mean of the top 10";
    case SlideScore::count:
      return "count";
  }
  return "";
}

double slide_score(SlideScore which, std::vector<double> scores, double min_score) {
  if (scores.empty()) return 0;
  if (which == SlideScore::count)
    return static_cast<double>(std::count_if(scores.begin(), scores.end(), [&](double s) { return s >= min_score; }));
  const size_t k = std::min(which == SlideScore::maximum ? size_t{1} : kTopScores, scores.size());
  std::partial_sort(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(k), scores.end(), std::greater<>());
  const double sum = std::accumulate(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(k), 0.0);
  return which == SlideScore::maximum ? sum : sum / static_cast<double>(kTopScores);
}

Roc roc(const std::vector<double>& scores, const std::vector<int>& labels, const Bootstrap& bootstrap) {
  std::vector<uint32_t> order;
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= 0) order.push_back(static_cast<uint32_t>(i));
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
  constexpr size_t kCount = kSpecificities.size();
  const auto estimates = bootstrap.estimate(1 + kCount, [&](std::span<const int32_t> weights, std::span<double> out) {
    double positives = 0, negatives = 0;
    for (const uint32_t i : order) (labels[i] ? positives : negatives) += weights[i];
    if (!(positives > 0 && negatives > 0)) return;
    double area = 0, p = 0, n = 0;
    std::array<double, kCount> found{};
    each_cut(scores, labels, order, weights, [&](double right, double wrong) {
      area += (wrong - n) * (p + right) / 2;
      p = right;
      n = wrong;
      for (size_t s = 0; s < kCount; ++s)
        if ((negatives - wrong) / negatives >= kSpecificities[s]) found[s] = right / positives;
    });
    out[0] = area / (positives * negatives);
    std::copy(found.begin(), found.end(), out.begin() + 1);
  });
  Roc r;
  r.auc = estimates[0];
  r.sensitivity.assign(estimates.begin() + 1, estimates.end());
  const auto positives = static_cast<double>(std::count(labels.begin(), labels.end(), 1)),
             negatives = static_cast<double>(std::count(labels.begin(), labels.end(), 0));
  if (positives > 0 && negatives > 0) {
    r.curve.push_back({0, 0});
    each_cut(scores, labels, order, std::vector<int32_t>(labels.size(), 1), [&](double right, double wrong) {
      r.curve.push_back({wrong / negatives, right / positives});
    });
  }
  return r;
}

}  // namespace cytodet::eval
