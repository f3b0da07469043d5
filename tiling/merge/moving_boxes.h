// Boxes that move and grow, found by overlap. Each lies in one cell of a grid: that of its upper left corner, in the level whose
// cells are just larger than it. Memory is O(n).
#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

#include "tiling/merge/overlap.h"

namespace cytodet::tiling {

class MovingBoxes {
 public:
  // Adds the box of the next id (0, 1, ...), or moves that of a known one.
  void put(size_t id, const Box& box) {
    if (id == boxes_.size()) {
      boxes_.push_back(box);
      places_.push_back(place_of(box));
      enter(id);
      return;
    }
    const Place place = place_of(box);
    boxes_[id] = box;
    if (place == places_[id]) {
      note(levels_[place.level], box);
      return;
    }
    leave(id);
    places_[id] = place;
    enter(id);
  }

  const Box& operator[](size_t id) const { return boxes_[id]; }

  // f(id) for each box that exceeds `overlap` with `box`, in no special order.
  template <class F>
  void each(const Box& box, const Overlap& overlap, F f) const {
    if (!(box.area() > 0)) return;
    auto visit = [&](const std::vector<size_t>& ids) {
      for (size_t id : ids)
        if (overlap.exceeded(box, boxes_[id])) f(id);
    };
    for (const auto& [exponent, level] : levels_) {
      const double side = side_of(exponent);
      if (!overlap.possible(box, side, side, level.min_area)) continue;
      const double x0 = std::floor((box.x0 - side) / side), x1 = std::floor(box.x1 / side);
      const double y0 = std::floor((box.y0 - side) / side), y1 = std::floor(box.y1 / side);
      const double columns = x1 - x0 + 1, rows = y1 - y0 + 1;
      if (!(columns * rows <= static_cast<double>(level.cells.size()))) {
        for (const auto& [cell, ids] : level.cells) visit(ids);
        continue;
      }
      for (double r = 0; r < rows; ++r)
        for (double c = 0; c < columns; ++c)
          if (auto it = level.cells.find({x0 + c, y0 + r}); it != level.cells.end()) visit(it->second);
    }
  }

 private:
  struct Cell {
    double x, y;
    friend bool operator==(const Cell&, const Cell&) = default;
  };
  struct Hash {
    size_t operator()(const Cell& c) const { return std::hash<double>()(c.x) * 0x9e3779b97f4a7c15ull ^ std::hash<double>()(c.y); }
  };
  struct Place {
    int level;
    Cell cell;
    friend bool operator==(const Place&, const Place&) = default;
  };
  struct Level {
    double min_area = HUGE_VAL;
    std::unordered_map<Cell, std::vector<size_t>, Hash> cells;
  };

  static double side_of(int level) { return std::ldexp(1.0, level); }
  static Place place_of(const Box& b) {
    const double max = std::max(b.width(), b.height());
    const int level = max > 0 ? std::ilogb(max) + 1 : 0;
    return {level, {std::floor(b.x0 / side_of(level)), std::floor(b.y0 / side_of(level))}};
  }
  static void note(Level& level, const Box& box) { level.min_area = std::min(level.min_area, box.area()); }
  void enter(size_t id) {
    Level& level = levels_[places_[id].level];
    note(level, boxes_[id]);
    level.cells[places_[id].cell].push_back(id);
  }
  void leave(size_t id) {
    auto& cells = levels_[places_[id].level].cells;
    auto it = cells.find(places_[id].cell);
    std::erase(it->second, id);
    if (it->second.empty()) cells.erase(it);
  }

  std::vector<Box> boxes_;
  std::vector<Place> places_;
  std::map<int, Level> levels_;  // by the binary logarithm of their cells' side
};

}  // namespace cytodet::tiling
