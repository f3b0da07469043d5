// Boxes bucketed by a uniform grid: finds those that overlap a box without comparing with all. O(n) memory.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "core/box.h"

namespace cytodet {

class BoxIndex {
 public:
  explicit BoxIndex(double cell) : cell_(cell) {}

  void add(int id, const Box& box) {
    if (!fits(box)) {
      large_.push_back(id);
      return;
    }
    each_cell(box, [&](uint64_t key) { cells_[key].push_back(id); });
  }

  // f(id) for every added box whose cells meet the box's, some more than once, until f returns true; returns whether it did.
  template <class F>
  bool any(const Box& box, F f) const {
    for (int id : large_)
      if (f(id)) return true;
    bool found = false;
    if (!fits(box)) {
      for (const auto& [key, ids] : cells_)
        for (int id : ids)
          if (f(id)) return true;
      return false;
    }
    each_cell(box, [&](uint64_t key) {
      if (found) return;
      if (auto it = cells_.find(key); it != cells_.end())
        for (int id : it->second)
          if (f(id)) {
            found = true;
            return;
          }
    });
    return found;
  }

 private:
  static constexpr double kMaxCells = 256, kMaxCell = 1e15;
  int64_t cell_of(double v) const { return static_cast<int64_t>(std::floor(v / cell_)); }
  // Few cells, none of them out of an integer's reach; false for what is not a number.
  bool fits(const Box& b) const {
    const double columns = std::floor(b.x1 / cell_) - std::floor(b.x0 / cell_) + 1,
                 rows = std::floor(b.y1 / cell_) - std::floor(b.y0 / cell_) + 1;
    const double farthest = std::max({std::abs(b.x0), std::abs(b.y0), std::abs(b.x1), std::abs(b.y1)}) / cell_;
    return columns * rows <= kMaxCells && farthest < kMaxCell;
  }
  template <class F>
  void each_cell(const Box& b, F f) const {
    for (int64_t y = cell_of(b.y0); y <= cell_of(b.y1); ++y)
      for (int64_t x = cell_of(b.x0); x <= cell_of(b.x1); ++x)
        f((static_cast<uint64_t>(y) * 0x9e3779b97f4a7c15ull) ^ static_cast<uint64_t>(x));
  }
  double cell_;
  std::vector<int> large_;
  std::unordered_map<uint64_t, std::vector<int>> cells_;
};

// Side of a cell that suits the boxes: about twice their mean side.
template <class Boxes, class Get>
double cell_for(const Boxes& boxes, Get get) {
  double total = 0;
  for (const auto& b : boxes) total += get(b).width() + get(b).height();
  const double cell = boxes.empty() ? 1.0 : total / static_cast<double>(boxes.size());
  return std::isfinite(cell) ? std::max(1e-3, cell) : 1.0;
}

}  // namespace cytodet
