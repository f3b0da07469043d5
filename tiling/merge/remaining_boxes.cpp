#include "tiling/merge/remaining_boxes.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

namespace cytodet::tiling {
namespace {

// Sizes of a level differ by less than 2^octaves. Few levels are searched fast; many leave out more of a crowd.
constexpr int kOctaves = 6, kOctavesInCrowds = 2;
constexpr double kCrowd = 32;  // boxes that a box touches

struct Extent {
  Box all{HUGE_VAL, HUGE_VAL, -HUGE_VAL, -HUGE_VAL};
  double widths = 0, heights = 0, widest = 0, highest = 0, boxes = 0;

  void add(const Box& b) {
    all = {std::min(all.x0, b.x0), std::min(all.y0, b.y0), std::max(all.x1, b.x1), std::max(all.y1, b.y1)};
    widths += b.width();
    heights += b.height();
    widest = std::max(widest, b.width());
    highest = std::max(highest, b.height());
    ++boxes;
  }
  bool crowded() const { return 4 * widths * heights / boxes > kCrowd * all.area(); }  // were they spread evenly
};

// Counted from the largest side, so that what is common lies in one class.
int size_class(double side, int largest, int octaves) { return (largest - std::ilogb(side)) / octaves; }

}  // namespace

double RemainingBoxes::row_of(double y, const Level& level) { return std::floor(y / level.height); }

size_t RemainingBoxes::first_row(const Level& level, double y) const {
  auto begin = rows_.begin() + static_cast<std::ptrdiff_t>(level.begin),
       end = rows_.begin() + static_cast<std::ptrdiff_t>(level.end);
  return static_cast<size_t>(std::lower_bound(begin, end, y, [](const Row& r, double v) { return r.y < v; }) - rows_.begin());
}

size_t RemainingBoxes::first_item(const Row& row, double x0) const {
  const double* at = x0_.data() + row.begin;
  for (size_t n = row.end - row.begin; n > 0;) {  // without branches to guess: halves a row in about two nanoseconds
    const size_t half = (n + 1) / 2;
    at = at[half - 1] < x0 ? at + half : at;
    n -= half;
  }
  return static_cast<size_t>(at - x0_.data());
}

RemainingBoxes::RemainingBoxes(std::span<const Box> boxes) { build(boxes, {}); }

std::vector<uint8_t> RemainingBoxes::remove_isolated(const Overlap& overlap) {
  constexpr int kMax = 16;  // a box with more near it counts as not alone: in a crowd the search would not pay
  std::vector<uint8_t> isolated(slot_.size(), 1);
  size_t left = 0;
  for (const Item& item : items_) {
    const double area = item.box.area();
    int seen = 0;
    bool alone = true;
    near(item.box, overlap, [&](const Item& other) {
      if (other.id == item.id) return Visit::keep;
      const double shared = intersection(item.box, other.box);
      alone = ++seen <= kMax && (shared <= 0 || !overlap.exceeded(shared, area, other.box.area()));
      return alone ? Visit::keep : Visit::stop;
    });
    isolated[static_cast<size_t>(item.id)] = alone;
    left += !alone;
  }
  if (left < items_.size() * 3 / 4) {
    std::vector<Box> boxes(slot_.size());
    for (const Item& item : items_) boxes[static_cast<size_t>(item.id)] = item.box;
    build(boxes, isolated);
  } else {
    for (size_t i = 0; i < isolated.size(); ++i)
      if (isolated[i]) remove(static_cast<int>(i));
  }
  return isolated;
}

void RemainingBoxes::build(std::span<const Box> boxes, std::span<const uint8_t> left_out) {
  levels_.clear();
  rows_.clear();
  items_.clear();
  x0_.clear();
  struct Key {
    double row, x0;
    uint32_t level, id;
  };
  std::vector<Key> keys;
  keys.reserve(boxes.size());
  std::map<std::pair<int, int>, uint32_t> known;
  std::pair<int, int> last{-1, -1};
  Extent extent;
  for (const Box& b : boxes)
    if (b.area() > 0) extent.add(b);
  const int max_x = std::ilogb(extent.widest), max_y = std::ilogb(extent.highest);
  const int octaves = extent.crowded() ? kOctavesInCrowds : kOctaves;
  uint32_t last_level = 0;
  for (size_t i = 0; i < boxes.size(); ++i) {
    const Box& b = boxes[i];
    if (!(b.area() > 0) || (!left_out.empty() && left_out[i])) continue;
    const std::pair<int, int> size{size_class(b.width(), max_x, octaves), size_class(b.height(), max_y, octaves)};
    if (size != last) {
      last = size;
      last_level = known.try_emplace(size, static_cast<uint32_t>(known.size())).first->second;
    }
    if (last_level == levels_.size()) levels_.push_back({0, 0, b.area(), 0, 0});
    Level& level = levels_[last_level];
    level.width = std::max(level.width, b.width());
    level.height = std::max(level.height, b.height());
    level.min_area = std::min(level.min_area, b.area());
    keys.push_back({0, b.x0, last_level, static_cast<uint32_t>(i)});
  }
  for (Key& k : keys) k.row = row_of(boxes[k.id].y0, levels_[k.level]);
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) {
    if (a.level != b.level) return a.level < b.level;
    if (a.row != b.row) return a.row < b.row;
    return a.x0 != b.x0 ? a.x0 < b.x0 : a.id < b.id;
  });
  items_.reserve(keys.size());
  x0_.reserve(keys.size());
  slot_.assign(boxes.size(), static_cast<uint32_t>(keys.size()));
  for (size_t k = 0; k < keys.size(); ++k) {
    const Key& key = keys[k];
    const bool new_level = k == 0 || keys[k - 1].level != key.level;
    if (new_level) levels_[key.level].begin = rows_.size();
    if (new_level || keys[k - 1].row != key.row) rows_.push_back({key.row, k, k});
    rows_.back().end = k + 1;
    levels_[key.level].end = rows_.size();
    items_.push_back({boxes[key.id], static_cast<int>(key.id), static_cast<uint32_t>(rows_.size() - 1)});
    x0_.push_back(key.x0);
    slot_[key.id] = static_cast<uint32_t>(k);
  }
  next_.resize(items_.size() + 1);
  std::iota(next_.begin(), next_.end(), 0u);
}

void RemainingBoxes::remove(int id) {
  const uint32_t k = slot_[static_cast<size_t>(id)];
  if (k < items_.size() && next_[k] == k) next_[k] = k + 1;
}

}  // namespace cytodet::tiling
