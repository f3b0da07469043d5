#include "eval/bootstrap.h"

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/parallel.h"
#include "core/settings.h"

namespace cytodet::eval {
namespace {

constexpr int64_t kResamplesOfATask = 16;

uint64_t splitmix64(uint64_t x) {  // Steele, Lea, Flood 2014
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// A percentile of the values, which are sorted only up to what is asked for.
double percentile(std::vector<double>& values, double share) {
  const double at = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(std::floor(at));
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin(), place, values.end());
  if (below + 1 >= values.size()) return *place;
  const double next = *std::min_element(place + 1, values.end());
  return *place + (next - *place) * (at - static_cast<double>(below));
}

}  // namespace

void check(const BootstrapOptions& o) {
  if (o.resamples < 0 || o.resamples > 1'000'000) throw UsageError("bootstrap", "must be 0 to 1,000,000 resamples");
  if (!(o.level > 0 && o.level < 1)) throw UsageError("the level of intervals", "must be between 0 and 1");
}

Json number_or_null(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }

Json to_json(const Estimate& e) {
  return {{"value", number_or_null(e.value)},
          {"low", number_or_null(e.interval ? e.interval->low : kUndefined)},
          {"high", number_or_null(e.interval ? e.interval->high : kUndefined)}};
}

double extent_of(std::span<const int32_t> weights, std::span<const double> mm2) {
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) sum += mm2.empty() ? weights[i] : weights[i] * mm2[i];
  return sum;
}

std::string text_of(const Estimate& e, int decimals) {
  if (!std::isfinite(e.value)) return "-";
  char text[120];
  std::snprintf(text, sizeof text, "%.*f", decimals, e.value);
  std::string all = text;
  if (!e.interval) return all;
  std::snprintf(text, sizeof text, " (%.*f to %.*f)", decimals, e.interval->low, decimals, e.interval->high);
  return all + text;
}

void draw_weights(uint64_t seed, int64_t number, std::span<int32_t> weights) {
  std::fill(weights.begin(), weights.end(), 0);
  const uint64_t key = splitmix64(splitmix64(seed) + static_cast<uint64_t>(number)), n = weights.size();
  for (uint64_t i = 0; i < n; ++i) ++weights[static_cast<size_t>((splitmix64(key + i) >> 32) * n >> 32)];
}

std::optional<Interval> percentile_interval(std::vector<double>& values, double level) {
  const size_t all = values.size();
  std::erase_if(values, [](double v) { return std::isnan(v); });
  if (values.empty() || values.size() * 2 < all) return std::nullopt;
  return Interval{percentile(values, (1 - level) / 2), percentile(values, (1 + level) / 2)};
}

std::vector<double> Bootstrap::once(size_t count, const Figures& figures) const {
  const std::vector<int32_t> weights(images_, 1);
  std::vector<double> values(count, kUndefined);
  figures(weights, values);
  return values;
}

std::vector<std::vector<double>> Bootstrap::distribution(size_t count, const Figures& figures) const {
  if (!has_intervals()) return std::vector<std::vector<double>>(count);
  const int64_t resamples = options_.resamples, tasks = (resamples + kResamplesOfATask - 1) / kResamplesOfATask;
  std::vector<std::vector<double>> values(count, std::vector<double>(static_cast<size_t>(resamples)));
  parallel_for(tasks, options_.threads, [&](int64_t task) {
    std::vector<int32_t> weights(images_);
    std::vector<double> out(count);
    const int64_t end = std::min(resamples, (task + 1) * kResamplesOfATask);
    for (int64_t r = task * kResamplesOfATask; r < end; ++r) {
      draw_weights(options_.seed, r, weights);
      std::fill(out.begin(), out.end(), kUndefined);
      figures(weights, out);
      for (size_t f = 0; f < count; ++f) values[f][static_cast<size_t>(r)] = out[f];
    }
  });
  return values;
}

std::vector<Estimate> Bootstrap::estimate(size_t count, const Figures& figures) const {
  const std::vector<double> values = once(count, figures);
  std::vector<std::vector<double>> resampled = distribution(count, figures);
  std::vector<Estimate> estimates(count);
  for (size_t f = 0; f < count; ++f) {
    estimates[f].value = values[f];
    if (!resampled[f].empty() && std::isfinite(values[f]))
      estimates[f].interval = percentile_interval(resampled[f], options_.level);
  }
  return estimates;
}

}  // namespace cytodet::eval
