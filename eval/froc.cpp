#include "eval/froc.h"

namespace cytodet::eval {
Froc froc(const ClassOutcomes& outcomes, std::span<const double> mm2, const Bootstrap& bootstrap) {
  constexpr size_t kRates = kFrocRates.size();
  Froc f;
  const auto estimates = bootstrap.estimate(kRates + 1, [&](std::span<const int32_t> weights, std::span<double> out) {
    const double whole = extent_of(weights, mm2);
    std::array<double, kRates> found{};
    int64_t truths = 0;
    for (size_t i = 0; i < weights.size(); ++i) truths += int64_t{weights[i]} * outcomes.truths[i];
    if (truths == 0 || !(whole > 0)) return;
    sweep(outcomes, weights, [&](double, const PointCounts& c) {
      const double rate = static_cast<double>(c.wrong) / whole;
      for (size_t r = 0; r < kRates; ++r)
        if (rate <= kFrocRates[r]) found[r] = recall_of(c);
      return rate <= kFrocRates.back();
    });
    double sum = 0;
    for (size_t r = 0; r < kRates; ++r) sum += out[r] = found[r];
    out[kRates] = sum / static_cast<double>(kRates);
  });
  f.sensitivity.assign(estimates.begin(), estimates.end() - 1);
  f.mean = estimates.back();
  const std::vector<int32_t> ones(outcomes.truths.size(), 1);
  const double whole = extent_of(ones, mm2);
  if (outcomes.truth_count > 0 && whole > 0)
    sweep(outcomes, ones, [&](double, const PointCounts& c) {
      f.curve.push_back({static_cast<double>(c.wrong) / whole, recall_of(c)});
      return true;
    });
  return f;
}

}  // namespace cytodet::eval
