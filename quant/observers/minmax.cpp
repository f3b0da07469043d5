#include <algorithm>
#include <array>
#include <limits>

#include "quant/observers/observer_entries.h"

namespace cytodet::quant {

Extremes extremes(std::span<const float> values) {
  constexpr size_t kLanes = 32;  // independent, so that the compiler may use vectors without reordering sums
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::array<float, kLanes> low, high, bad{};
  low.fill(kInfinity);
  high.fill(-kInfinity);
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) {
      float v = values[i + lane];
      low[lane] = v < low[lane] ? v : low[lane];
      high[lane] = v > high[lane] ? v : high[lane];
      bad[lane] += v * 0.0f;  // NaN from the first value that is not finite on
    }
  for (; i < values.size(); ++i) {
    float v = values[i];
    low[0] = v < low[0] ? v : low[0];
    high[0] = v > high[0] ? v : high[0];
    bad[0] += v * 0.0f;
  }
  Extremes e{*std::min_element(low.begin(), low.end()), *std::max_element(high.begin(), high.end())};
  e.finite = std::all_of(bad.begin(), bad.end(), [](float b) { return b == 0; });
  return e;
}

namespace {

class MinMax : public Observer {
 public:
  void observe(std::span<const float>, const Extremes& e, int64_t) override { add(e.low, e.high); }
  void merge(const Observer& other) override {
    const auto& o = static_cast<const MinMax&>(other);
    add(o.low_, o.high_);
  }
  Range range() const override { return {low_, high_, {}, {}}; }

 private:
  void add(float low, float high) {
    low_ = std::min(low_, low);
    high_ = std::max(high_, high);
  }
  float low_ = std::numeric_limits<float>::infinity(), high_ = -low_;
};

class MovingAverage : public Observer {
 public:
  void observe(std::span<const float>, const Extremes& e, int64_t image) override { seen_.push_back({image, e.low, e.high}); }
  void merge(const Observer& other) override {
    const auto& o = static_cast<const MovingAverage&>(other);
    seen_.insert(seen_.end(), o.seen_.begin(), o.seen_.end());
  }
  Range range() const override {
    constexpr double kShare = 0.1;
    std::vector<Seen> ordered = seen_;
    std::stable_sort(ordered.begin(), ordered.end(), [](const Seen& a, const Seen& b) { return a.image < b.image; });
    double low = 0, high = 0;
    for (size_t i = 0; i < ordered.size(); ++i) {
      double share = i == 0 ? 1 : kShare;
      low += share * (ordered[i].low - low);
      high += share * (ordered[i].high - high);
    }
    return {static_cast<float>(low), static_cast<float>(high), {}, {}};
  }

 private:
  struct Seen {
    int64_t image;
    float low, high;
  };
  std::vector<Seen> seen_;
};

}  // namespace

std::unique_ptr<Observer> make_minmax(const ObserverOptions&) { return std::make_unique<MinMax>(); }
std::unique_ptr<Observer> make_moving_average(const ObserverOptions&) { return std::make_unique<MovingAverage>(); }

}  // namespace cytodet::quant
