// A histogram of numbers of any magnitude. Bins are powers of two wide and meet at 0; when a number does not fit, neighbouring
// bins are merged until it does. So the bins depend on the largest magnitude seen and on nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/observers/observer.h"

namespace cytodet::quant {

class Histogram {
 public:
  static constexpr int kBins = 4096;  // on each side of 0; the largest magnitude lies in the upper half of them

  void add(std::span<const float> values, const Extremes& e);
  void merge(const Histogram& other);

  float low() const { return low_; }
  float high() const { return high_; }
  double width() const;
  int64_t total() const;
  // Below it lies this share of the numbers, which are taken as spread evenly over their bin.
  float quantile(double share) const;
  // counts()[kBins + b] numbers lie in bin b: b * width to (b + 1) * width.
  const std::vector<int64_t>& counts() const { return counts_; }
  // Bins that hold the extremes: every number is in bins first_bin() .. last_bin().
  int first_bin() const { return bin_of(low_); }
  int last_bin() const { return bin_of(high_); }

 private:
  int bin_of(float v) const;
  void grow(float magnitude);  // until a number of this magnitude fits

  int exponent_ = -126;  // width is 2^exponent_
  float low_ = 0, high_ = 0;
  bool empty_ = true;
  std::vector<int64_t> counts_ = std::vector<int64_t>(2 * kBins, 0);
};

// An observer that chooses its range at the end, from a histogram.
class HistogramObserver : public Observer {
 public:
  void observe(std::span<const float> values, const Extremes& e, int64_t) override { histogram_.add(values, e); }
  void merge(const Observer& other) override { histogram_.merge(static_cast<const HistogramObserver&>(other).histogram_); }

 protected:
  Histogram histogram_;
};

}  // namespace cytodet::quant
