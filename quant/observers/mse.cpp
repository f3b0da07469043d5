#include <algorithm>
#include <cmath>

#include "quant/observers/observer_entries.h"
#include "quant/observers/quantization_error.h"

namespace cytodet::quant {
namespace {

constexpr int kSteps = 128;  // shares of an extreme that are tried

class LeastSquares : public HistogramObserver {
 public:
  // Shrinks both extremes by one factor, then each by itself while the error falls.
  Range range() const override {
    const double low = std::min(histogram_.low(), 0.0f), high = std::max(histogram_.high(), 0.0f);
    Range best{histogram_.low(), histogram_.high(), {}, {}};
    if (high - low <= kMaxValue * histogram_.width()) return best;
    const std::vector<HistogramPoint> points = points_of(histogram_);
    int low_step = kSteps, high_step = kSteps;
    double min = squared_error(points, low, high);
    auto attempt = [&](int l, int h) {
      double from = low * l / kSteps, to = high * h / kSteps;
      if (to - from <= kMaxValue * histogram_.width()) return false;  // levels finer than bins: nothing to measure by
      double error = squared_error(points, from, to);
      if (error >= min) return false;
      min = error;
      low_step = l;
      high_step = h;
      return true;
    };
    for (int step = kSteps - 1; step > 0; --step) attempt(step, step);
    for (bool better = true; better;) {
      better = false;
      int h = high_step;
      if (low < 0)
        for (int step = kSteps; step >= 0; --step) better |= attempt(step, h);
      int l = low_step;
      if (high > 0)
        for (int step = kSteps; step >= 0; --step) better |= attempt(l, step);
    }
    best.low = std::max(best.low, static_cast<float>(low * low_step / kSteps));
    best.high = std::min(best.high, static_cast<float>(high * high_step / kSteps));
    return best;
  }
};

}  // namespace

std::unique_ptr<Observer> make_mse(const ObserverOptions&) { return std::make_unique<LeastSquares>(); }

}  // namespace cytodet::quant
