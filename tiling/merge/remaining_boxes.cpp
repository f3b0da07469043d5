#include "tiling/merge/remaining_boxes.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

namespace cytodet {
namespace {

constexpr int kOctaves = 5;  // sizes of a level differ by less than 2^5

// Counted from the largest side, so that what is common lies in one class.
int size_class(double side, int largest) { return (largest - std::ilogb(side)) / kOctaves; }

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

RemainingBoxes::RemainingBoxes(std::span<const Box> boxes) {
  struct Key {
    double row, x0;
    uint32_t level, id;
  };
  std::vector<Key> keys;
  keys.reserve(boxes.size());
  std::map<std::pair<int, int>, uint32_t> known;
  std::pair<int, int> last{-1, -1};
  double widest = 0, highest = 0;
  for (const Box& b : boxes)
    if (b.area() > 0) widest = std::max(widest, b.width()), highest = std::max(highest, b.height());
  const int most_x = std::ilogb(widest), most_y = std::ilogb(highest);
  uint32_t last_level = 0;
  for (size_t i = 0; i < boxes.size(); ++i) {
    const Box& b = boxes[i];
    if (!(b.area() > 0)) continue;
    const std::pair<int, int> size{size_class(b.width(), most_x), size_class(b.height(), most_y)};
    if (size != last) {
      last = size;
      last_level = known.try_emplace(size, static_cast<uint32_t>(known.size())).first->second;
    }
    if (last_level == levels_.size()) levels_.push_back({0, 0, b.area(), 0, 0});
    Level& level = levels_[last_level];
    level.width = std::max(level.width, b.width());
    level.height = std::max(level.height, b.height());
    level.least_area = std::min(level.least_area, b.area());
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

}  // namespace cytodet
