// Bootstrap over images: intervals and comparisons without an assumption about distributions (Efron & Tibshirani 1993, "An
// Introduction to the Bootstrap", percentile intervals). Images are drawn, not boxes, since the cells of one image are alike.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/json_fwd.h"

namespace cytodet::eval {

struct BootstrapOptions {
  int resamples = 1000;  // 0: no intervals
  uint64_t seed = 1;
  double level = 0.95;  // of an interval
  int threads = 0;
};
// Throws UsageError on numbers out of range.
void check(const BootstrapOptions& options);

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();  // a figure that divides by nothing

struct Interval {
  double low = 0, high = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};
struct Estimate {
  double value = kUndefined;
  std::optional<Interval> interval;
};
Json number_or_null(double v);                             // null where it is not finite
Json to_json(const Estimate& e);                           // {"value", "low", "high"}; null for what is not known
std::string text_of(const Estimate& e, int decimals = 3);  // "0.913 (0.880 to 0.941)"; "-" where undefined

// How often each of weights.size() images is in resample `number`: so many draws with replacement. Draw i is
// (splitmix64(key + i) >> 32) * n >> 32 with key = splitmix64(splitmix64(seed) + number), so that neither threads nor the number
// of resamples matter.
void draw_weights(uint64_t seed, int64_t number, std::span<int32_t> weights);

// How many images the weights count, or, where `mm2` of each image is given, how many square millimetres.
double extent_of(std::span<const int32_t> weights, std::span<const double> mm2);

// The percentiles (1 - level) / 2 and (1 + level) / 2, interpolated linearly as numpy.percentile; undefined values do not count.
// None where fewer than half are defined. Reorders the values.
std::optional<Interval> percentile_interval(std::vector<double>& values, double level);

// Fills `out` with figures of the images, each counted as often as its weight says. Called from several threads.
using Figures = std::function<void(std::span<const int32_t> weights, std::span<double> out)>;

class Bootstrap {
 public:
  Bootstrap(size_t images, const BootstrapOptions& options) : images_(images), options_(options) { check(options); }

  // A figure each of `count`; intervals where there are at least two images.
  std::vector<Estimate> estimate(size_t count, const Figures& figures) const;
  // values[figure][resample]. 8 bytes each; empty with fewer than two images.
  std::vector<std::vector<double>> distribution(size_t count, const Figures& figures) const;
  std::vector<double> once(size_t count, const Figures& figures) const;  // every image counted once

  bool has_intervals() const { return images_ > 1 && options_.resamples > 0; }
  const BootstrapOptions& options() const { return options_; }

 private:
  size_t images_;
  BootstrapOptions options_;
};

}  // namespace cytodet::eval
