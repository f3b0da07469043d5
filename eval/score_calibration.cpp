#include "eval/score_calibration.h"

#include <algorithm>

namespace cytodet::eval {
namespace {

struct BinSums {
  double detections = 0, scores = 0, right = 0;
};

size_t bin_of(double score, size_t bins) {
  size_t b = 0;
  while (b + 1 < bins && score > static_cast<double>(b + 1) * (1.0 / static_cast<double>(bins))) ++b;
  return b;
}

}  // namespace

ScoreCalibration score_calibration(const ClassOutcomes& outcomes, const Bootstrap& bootstrap, size_t bins) {
  std::vector<uint8_t> bin;
  for (const ScoredOutcome& d : outcomes.detections) bin.push_back(static_cast<uint8_t>(bin_of(d.score, bins)));
  const auto sums_of = [&](std::span<const int32_t> weights) {
    std::vector<BinSums> sums(bins);
    for (size_t i = 0; i < outcomes.detections.size(); ++i) {
      const ScoredOutcome& d = outcomes.detections[i];
      const double w = weights[static_cast<size_t>(d.image)];
      BinSums& s = sums[bin[i]];
      s.detections += w;
      s.scores += w * d.score;
      s.right += d.right() ? w : 0;
    }
    return sums;
  };
  const auto estimates = bootstrap.estimate(bins + 1, [&](std::span<const int32_t> weights, std::span<double> out) {
    const std::vector<BinSums> sums = sums_of(weights);
    double all = 0, error = 0;
    for (size_t b = 0; b < bins; ++b) {
      if (!(sums[b].detections > 0)) continue;
      out[b] = sums[b].right / sums[b].detections;
      all += sums[b].detections;
      error += std::abs(sums[b].right - sums[b].scores);
    }
    if (all > 0) out[bins] = error / all;
  });
  const std::vector<BinSums> sums = sums_of(std::vector<int32_t>(outcomes.truths.size(), 1));
  ScoreCalibration c;
  for (size_t b = 0; b < bins; ++b)
    c.bins.push_back({static_cast<int64_t>(sums[b].detections),
                      sums[b].detections > 0 ? sums[b].scores / sums[b].detections : kUndefined, estimates[b]});
  c.ece = estimates[bins];
  return c;
}

}  // namespace cytodet::eval
