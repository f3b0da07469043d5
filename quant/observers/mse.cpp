#include <algorithm>
#include <cmath>

#include "quant/observers/histogram.h"
#include "quant/observers/observer_entries.h"

namespace cytodet::quant {
namespace {

constexpr int kSteps = 128;  // shares of an extreme that are tried
constexpr int kMaxValue = 255;

// Numbers of a histogram: each bin's middle; 0 for the bins beside 0, where exact zeros lie.
struct Point {
  float x, count;
};

std::vector<Point> points_of(const Histogram& h) {
  std::vector<Point> points;
  for (int b = h.first_bin(); b <= h.last_bin(); ++b) {
    auto count = static_cast<float>(h.counts()[static_cast<size_t>(Histogram::kBins + b)]);
    bool at_zero = b == 0 || b == -1;
    if (count > 0) points.push_back({at_zero ? 0.0f : static_cast<float>((b + 0.5) * h.width()), count});
  }
  return points;
}

// Sum of squared differences between the values and what unsigned 8-bit values of [low, high] keep of them.
double squared_error(const std::vector<Point>& points, double low, double high) {
  const auto scale = static_cast<float>((high - low) / kMaxValue), per_scale = 1 / scale;
  const auto zero = std::nearbyint(static_cast<float>(-low) * per_scale);
  double sum = 0;
  for (const Point& p : points) {
    auto quantized = static_cast<int>(std::clamp(p.x * per_scale + zero + 0.5f, 0.0f, kMaxValue + 0.5f));
    float error = p.x - (static_cast<float>(quantized) - zero) * scale;
    sum += static_cast<double>(p.count) * static_cast<double>(error * error);
  }
  return sum;
}

class LeastSquares : public HistogramObserver {
 public:
  // Shrinks both extremes by one factor, then each by itself while the error falls.
  Range range() const override {
    const double low = std::min(histogram_.low(), 0.0f), high = std::max(histogram_.high(), 0.0f);
    Range best{histogram_.low(), histogram_.high(), {}, {}};
    if (high - low <= kMaxValue * histogram_.width()) return best;
    const std::vector<Point> points = points_of(histogram_);
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
