// The boxes that are still to be merged, found by overlap. Boxes can leave, none can join. Memory is O(n).
//
// Boxes of like width and height (within a factor of 64, in crowds of 4) form a level, so that no huge box widens the search
// among tiny ones, and levels whose sizes rule a match out are left aside. A level is cut into rows as high as its highest box,
// and a row is sorted by x: a search is a binary search and a short walk in each of about three rows. Runs of boxes that have
// left are skipped at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tiling/merge/overlap.h"

namespace cytodet::tiling {

class RemainingBoxes {
 public:
  enum class Visit { keep, remove, stop };

  explicit RemainingBoxes(std::span<const Box> boxes);  // ids are positions; boxes without area overlap nothing

  void remove(int id);

  // Removes boxes that exceed `overlap` with no other, and returns which those are: most of a slide's are such, and are found in
  // the order of their places at a fraction of what a search for each in the order of ranks costs. In crowds some are not
  // recognised.
  std::vector<uint8_t> remove_isolated(const Overlap& overlap);

  // f(id, box) for each box left that exceeds `overlap` with `box`, in no special order; f says what becomes of it.
  template <class F>
  void each(const Box& box, const Overlap& overlap, F f) {
    const double area = box.area();
    near(box, overlap, [&](const Item& item) {
      const double shared = intersection(box, item.box);
      if (shared <= 0 || !overlap.exceeded(shared, area, item.box.area())) return Visit::keep;
      return f(item.id, item.box);
    });
  }

 private:
  struct Item {
    Box box;
    int id;
    uint32_t row;
  };

  // f(item) for each box left that a look at rows and x does not rule out.
  template <class F>
  void near(const Box& box, const Overlap& overlap, F f) {
    if (!(box.area() > 0)) return;
    for (const Level& level : levels_) {
      if (!overlap.possible(box, level.width, level.height, level.min_area)) continue;
      const double slack = 1 + 1e-12;  // of the roundings on the way
      const double last = row_of(box.y1, level), left = box.x0 - level.width * slack;
      for (size_t r = first_row(level, row_of(box.y0 - level.height * slack, level)); r < level.end && rows_[r].y <= last;) {
        const Row& row = rows_[r];
        size_t k = alive(first_item(row, left));
        for (; k < row.end && x0_[k] < box.x1; k = alive(k + 1)) {
          const Visit next = f(items_[k]);
          if (next == Visit::stop) return;
          if (next == Visit::remove) next_[k] = static_cast<uint32_t>(k + 1);
        }
        if (k < row.end)
          ++r;
        else if (k < items_.size())
          r = items_[k].row > r ? items_[k].row : r + 1;
        else
          break;
      }
    }
  }
  void build(std::span<const Box> boxes, std::span<const uint8_t> left_out);

  struct Row {
    double y;  // number of the row in its level
    size_t begin, end;
  };
  struct Level {
    double width, height, min_area;  // most, most, least of its boxes
    size_t begin, end;               // rows
  };
  static double row_of(double y, const Level& level);
  size_t first_row(const Level& level, double y) const;
  size_t first_item(const Row& row, double x0) const;
  size_t alive(size_t k) {  // the first item at k or after it that has not left
    while (next_[k] != k) {
      next_[k] = next_[next_[k]];
      k = next_[k];
    }
    return k;
  }

  std::vector<Level> levels_;
  std::vector<Row> rows_;
  std::vector<Item> items_;     // by level, row, x0
  std::vector<double> x0_;      // of each item: what is searched
  std::vector<uint32_t> next_;  // itself, or towards the next item that is left; one more than items
  std::vector<uint32_t> slot_;  // of each id; past the items for boxes without area
};

}  // namespace cytodet::tiling
