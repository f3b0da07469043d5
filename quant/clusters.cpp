#include "quant/clusters.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace cytodet::quant {
namespace {

constexpr int kValues = 256, kLowest = -128;

// Sums over the values below each one, from which the cost of any run of values follows.
struct PrefixSums {
  std::vector<int> value;  // that occur, ascending
  std::vector<int64_t> count{0}, first{0}, second{0};

  explicit PrefixSums(const std::vector<int64_t>& counts) {
    for (int i = 0; i < kValues; ++i) {
      const int64_t n = counts[static_cast<size_t>(i)], c = kLowest + i;
      if (n == 0) continue;
      value.push_back(static_cast<int>(c));
      count.push_back(count.back() + n);
      first.push_back(first.back() + n * c);
      second.push_back(second.back() + n * c * c);
    }
  }
  // The level that value[from] .. value[end - 1] are rounded to, and its cost: the sum of squared differences.
  int level(size_t from, size_t end) const {
    const double mean = static_cast<double>(first[end] - first[from]) / static_cast<double>(count[end] - count[from]);
    return static_cast<int>(std::round(mean));
  }
  int64_t cost(size_t from, size_t end) const {
    const int64_t r = level(from, end), n = count[end] - count[from], s = first[end] - first[from];
    return second[end] - second[from] - 2 * r * s + n * r * r;
  }
};

}  // namespace

std::vector<int64_t> value_counts(const Tensor& values) {
  std::vector<int64_t> counts(kValues, 0);
  const int8_t* v = values.data<int8_t>();
  for (int64_t i = 0; i < values.size(); ++i) ++counts[static_cast<size_t>(v[i] - kLowest)];
  return counts;
}

Clusters best_clusters(const std::vector<int64_t>& counts, int max_levels) {
  if (counts.size() != kValues || max_levels < 1) throw Error("clusters", "need 256 counts and at least one level");
  const PrefixSums sums(counts);
  const size_t n = sums.value.size();
  if (n <= static_cast<size_t>(max_levels)) return {sums.value, 0};
  constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  std::vector<int64_t> cost(n + 1, kNever);  // the smallest, of rounding the first i values to so many levels
  cost[0] = 0;
  std::vector<std::vector<size_t>> start(static_cast<size_t>(max_levels), std::vector<size_t>(n + 1, 0));  // of the last run
  for (auto& starts : start) {
    std::vector<int64_t> next(n + 1, kNever);
    for (size_t end = 1; end <= n; ++end)
      for (size_t from = 0; from < end; ++from) {
        if (cost[from] == kNever) continue;
        if (const int64_t c = cost[from] + sums.cost(from, end); c < next[end]) next[end] = c, starts[end] = from;
      }
    cost = std::move(next);
  }
  Clusters found{{}, cost[n]};
  size_t end = n;
  for (size_t k = static_cast<size_t>(max_levels); k-- > 0; end = start[k][end])
    found.levels.push_back(sums.level(start[k][end], end));
  std::sort(found.levels.begin(), found.levels.end());
  found.levels.erase(std::unique(found.levels.begin(), found.levels.end()), found.levels.end());
  return found;
}

}  // namespace cytodet::quant
