#include "exec/runtime/memory.h"

#include <algorithm>
#include <numeric>

namespace cytodet::exec {

std::vector<int64_t> plan_arena(const std::vector<Lifetime>& tensors, int64_t& total) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return tensors[a].bytes > tensors[b].bytes; });
  std::vector<int64_t> offsets(tensors.size(), 0);
  std::vector<size_t> placed;  // by offset
  total = 0;
  for (size_t i : order) {
    const Lifetime& t = tensors[i];
    const int64_t bytes = (t.bytes + 63) / 64 * 64;
    int64_t at = 0;
    for (size_t p : placed) {
      const Lifetime& other = tensors[p];
      if (other.last < t.first || other.first > t.last) continue;
      if (offsets[p] - at >= bytes) break;
      at = std::max(at, offsets[p] + (other.bytes + 63) / 64 * 64);
    }
    offsets[i] = at;
    total = std::max(total, at + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i, [&](size_t a, size_t b) { return offsets[a] < offsets[b]; }),
                  i);
  }
  return offsets;
}

}  // namespace cytodet::exec
