#include "eval/top_k.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cytodet::eval {

bool in_top_k(std::span<const float> scores, int64_t label, int k, Ties ties) {
  if (label < 0 || label >= static_cast<int64_t>(scores.size())) return false;
  const float own = scores[static_cast<size_t>(label)];
  if (!std::isfinite(own)) return false;
  const auto ahead = std::count_if(scores.begin(), scores.end(), [&](float s) { return ties == Ties::hit ? s > own : s >= own; });
  return ahead - (ties == Ties::miss) < k;
}

std::vector<int> top_k(std::span<const float> scores, int k) {
  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto best = order.begin() + std::min<std::ptrdiff_t>(k, static_cast<std::ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), best, order.end(), [&](int a, int b) {
    const float x = scores[static_cast<size_t>(a)], y = scores[static_cast<size_t>(b)];
    if (std::isnan(x) || std::isnan(y)) return std::isnan(x) == std::isnan(y) ? a < b : std::isnan(y);
    return x != y ? x > y : a < b;
  });
  order.erase(best, order.end());
  return order;
}

}  // namespace cytodet::eval
