#include "eval/count_agreement.h"

namespace cytodet::eval {
namespace {

enum CountFigure { kBias, kDeviation, kLower, kUpper, kConcordance, kMeanError, kRelativeError, kTotalError, kCountFigures };

void count_figures(const std::vector<CountPair>& pairs, std::span<const int32_t> weights, std::span<double> out) {
  double n = 0, truths = 0, found = 0, errors = 0, relative = 0, with_truth = 0;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const double w = weights[i];
    const CountPair& p = pairs[i];
    n += w;
    truths += w * p.truth;
    found += w * p.found;
    errors += w * std::abs(p.found - p.truth);
    if (p.truth > 0) relative += w * std::abs(p.found - p.truth) / p.truth, with_truth += w;
  }
  if (!(n > 0)) return;
  const double mean_truth = truths / n, mean_found = found / n, bias = mean_found - mean_truth;
  double tt = 0, ff = 0, tf = 0, dd = 0;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const double w = weights[i], t = pairs[i].truth - mean_truth, f = pairs[i].found - mean_found;
    tt += w * t * t;
    ff += w * f * f;
    tf += w * t * f;
    dd += w * (f - t) * (f - t);
  }
  out[kBias] = bias;
  if (n > 1) {
    out[kDeviation] = std::sqrt(dd / (n - 1));
    out[kLower] = bias - 1.96 * out[kDeviation];
    out[kUpper] = bias + 1.96 * out[kDeviation];
  }
  const double spread = tt / n + ff / n + bias * bias;
  if (tt > 0 || ff > 0) out[kConcordance] = 2 * tf / n / spread;
  out[kMeanError] = errors / n;
  if (with_truth > 0) out[kRelativeError] = relative / with_truth;
  if (truths > 0) out[kTotalError] = (found - truths) / truths;
}

}  // namespace

CountAgreement count_agreement(std::vector<CountPair> pairs, const Bootstrap& bootstrap) {
  const auto e = bootstrap.estimate(
      kCountFigures, [&](std::span<const int32_t> weights, std::span<double> out) { count_figures(pairs, weights, out); });
  CountAgreement a;
  a.pairs = std::move(pairs);
  a.bias = e[kBias];
  a.deviation = e[kDeviation];
  a.lower = e[kLower];
  a.upper = e[kUpper];
  a.concordance = e[kConcordance];
  a.mean_error = e[kMeanError];
  a.mean_relative_error = e[kRelativeError];
  a.total_relative_error = e[kTotalError];
  return a;
}

}  // namespace cytodet::eval
