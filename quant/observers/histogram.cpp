#include "quant/observers/histogram.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

namespace cytodet::quant {
namespace {

constexpr int kAll = 2 * Histogram::kBins;
constexpr int kTables = 4;  // neighbours are often equal: a counter's next increment would wait for the last one
constexpr size_t kBlock = 1024;

// Truncation and sign, not floor: |v| alone decides how far from 0 the bin lies, so that halving the number of bins keeps every
// number where a coarser histogram would have put it.
inline int index_of(float v, float bins_per_unit) {
  return static_cast<int>(v * bins_per_unit) + Histogram::kBins - (v < 0 ? 1 : 0);
}

void count_block(std::span<const float> values, float bins_per_unit, uint32_t (*tables)[kAll]) {
  std::array<int, kBlock> index;
  for (size_t i = 0; i < values.size(); ++i) index[i] = index_of(values[i], bins_per_unit);
  size_t i = 0;
  for (; i + kTables <= values.size(); i += kTables)
    for (size_t t = 0; t < kTables; ++t) ++tables[t][index[i + t]];
  for (; i < values.size(); ++i) ++tables[0][index[i]];
}

}  // namespace

double Histogram::width() const { return std::ldexp(1.0, exponent_); }
int64_t Histogram::total() const { return std::accumulate(counts_.begin(), counts_.end(), int64_t{0}); }
int Histogram::bin_of(float v) const { return index_of(v, static_cast<float>(1 / width())) - kBins; }

void Histogram::grow(float magnitude) {
  int exponent = 0;
  std::frexp(magnitude, &exponent);  // magnitude < 2^exponent
  int wanted = magnitude > 0 ? exponent - std::bit_width(static_cast<unsigned>(kBins)) + 1 : exponent_;
  if (wanted <= exponent_) return;
  int shift = std::min(wanted - exponent_, 31);
  exponent_ = wanted;
  std::vector<int64_t> merged(kAll, 0);
  for (int b = -kBins; b < kBins; ++b)
    merged[static_cast<size_t>(int64_t{kBins} + (b >> shift))] += counts_[static_cast<size_t>(int64_t{kBins} + b)];
  counts_ = std::move(merged);
}

void Histogram::add(std::span<const float> values, const Extremes& e) {
  grow(std::max(-e.low, e.high));
  low_ = empty_ ? e.low : std::min(low_, e.low);
  high_ = empty_ ? e.high : std::max(high_, e.high);
  empty_ = false;
  const auto bins_per_unit = static_cast<float>(1 / width());
  if (values.size() < kAll) {
    for (float v : values) ++counts_[static_cast<size_t>(index_of(v, bins_per_unit))];
    return;
  }
  std::vector<uint32_t> tables(kTables * kAll, 0);
  auto* table = reinterpret_cast<uint32_t(*)[kAll]>(tables.data());
  for (size_t at = 0; at < values.size(); at += kBlock)
    count_block(values.subspan(at, std::min(kBlock, values.size() - at)), bins_per_unit, table);
  for (size_t i = 0; i < kAll; ++i)
    for (size_t t = 0; t < kTables; ++t) counts_[i] += table[t][i];
}

void Histogram::merge(const Histogram& other) {
  if (other.empty_) return;
  Histogram coarse = other;
  grow(std::max(-other.low_, other.high_));
  if (!empty_) coarse.grow(std::max(-low_, high_));
  for (size_t i = 0; i < kAll; ++i) counts_[i] += coarse.counts_[i];
  low_ = empty_ ? other.low_ : std::min(low_, other.low_);
  high_ = empty_ ? other.high_ : std::max(high_, other.high_);
  empty_ = false;
}

float Histogram::quantile(double share) const {
  const double wanted = share * static_cast<double>(total());
  double below = 0;
  for (int b = first_bin(); b <= last_bin(); ++b) {
    auto inside = static_cast<double>(counts()[static_cast<size_t>(int64_t{kBins} + b)]);
    if (inside > 0 && below + inside >= wanted) {
      auto v = static_cast<float>((b + (wanted - below) / inside) * width());
      return std::clamp(v, low(), high());
    }
    below += inside;
  }
  return high();
}

}  // namespace cytodet::quant
