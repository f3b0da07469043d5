// The activation searches of Huawei's AMCT, by their names there.
#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/observers/observer_entries.h"
#include "quant/observers/quantization_error.h"

namespace cytodet::quant {
namespace {

constexpr double kMaxFinite = 3e38;

class Ifmr : public HistogramObserver {
 public:
  explicit Ifmr(const ObserverOptions& options, bool merged) : o_(options.ifmr), merged_(merged) {}

  // Both ends begin at their quantile (that of hfmg at the extreme) and are multiplied by every factor of the search; the pair
  // with the smallest squared error wins.
  Range range() const override {
    Range best{histogram_.low(), histogram_.high(), {}, {}};
    if (best.low == best.high) return best;
    const double low = std::min(0.0f, merged_ ? histogram_.low() : histogram_.quantile(1 - o_.min_percentile)),
                 high = std::max(0.0f, merged_ ? histogram_.high() : histogram_.quantile(o_.max_percentile));
    if (high - low <= kMaxValue * histogram_.width()) return best;  // levels finer than bins: nothing to measure by
    const std::vector<HistogramPoint> points = merged_ ? merged(points_of(histogram_), o_.bins) : points_of(histogram_);
    const int steps = static_cast<int>(std::lround((o_.search_end - o_.search_start) / o_.search_step)) + 1;
    double min_error = INFINITY;
    const auto attempt = [&](int l, int h) {
      const double from = low * (o_.search_start + l * o_.search_step), to = high * (o_.search_start + h * o_.search_step);
      if (!((to - from) / kMaxValue >= std::numeric_limits<float>::min())) return;  // levels no float apart
      const double error = squared_error(points, from, to);
      if (!(error < min_error)) return;
      min_error = error;
      best.low = static_cast<float>(std::max(from, -kMaxFinite));
      best.high = static_cast<float>(std::min(to, kMaxFinite));
    };
    for (int h = 0; h < (high > 0 ? steps : 1); ++h)
      for (int l = 0; l < (low < 0 ? steps : 1); ++l) attempt(l, h);
    return best;
  }

 private:
  // At most `bins` points: neighbours as their mean.
  static std::vector<HistogramPoint> merged(const std::vector<HistogramPoint>& points, int bins) {
    std::vector<HistogramPoint> out;
    const float first = points.front().x, width = (points.back().x - first) / static_cast<float>(bins);
    if (!(width > 0) || !std::isfinite(width)) return points;
    int bin = -1;
    double sum = 0, count = 0;
    const auto close = [&] {
      if (count > 0) out.push_back({static_cast<float>(sum / count), static_cast<float>(count)});
      sum = count = 0;
    };
    for (const HistogramPoint& p : points) {
      const int at = std::min(bins - 1, static_cast<int>((p.x - first) / width));
      if (at != bin) close();
      bin = at;
      sum += static_cast<double>(p.x) * p.count;
      count += static_cast<double>(p.count);
    }
    close();
    return out;
  }

  const IfmrOptions o_;
  const bool merged_;
};

}  // namespace

std::unique_ptr<Observer> make_ifmr(const ObserverOptions& options) { return std::make_unique<Ifmr>(options, false); }
std::unique_ptr<Observer> make_hfmg(const ObserverOptions& options) { return std::make_unique<Ifmr>(options, true); }

}  // namespace cytodet::quant
