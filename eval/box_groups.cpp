#include "eval/box_groups.h"

#include <algorithm>
#include <numeric>

namespace cytodet::eval {
namespace {

constexpr size_t kFewTruths = 24;  // all are tried without sorting

// The order sorted by keys in [0, count), stably.
std::vector<int32_t> sorted_by(const std::vector<int32_t>& keys, size_t count, const std::vector<int32_t>& order) {
  std::vector<uint32_t> at(count + 1, 0);
  for (const int32_t k : keys) ++at[static_cast<size_t>(k) + 1];
  std::partial_sum(at.begin(), at.end(), at.begin());
  std::vector<int32_t> sorted(order.size());
  for (const int32_t i : order) sorted[at[static_cast<size_t>(keys[static_cast<size_t>(i)])]++] = i;
  return sorted;
}

}  // namespace

BoxGroups::BoxGroups(const std::vector<int32_t>& image, const std::vector<int32_t>& category, size_t images, size_t classes,
                     bool pooled) {
  order_.resize(image.size());
  std::iota(order_.begin(), order_.end(), 0);
  // Pooled, pycocotools lists an image's boxes class by class: equal scores fall in that order.
  if (pooled) order_ = sorted_by(category, classes, order_);
  order_ = sorted_by(image, images, order_);
  if (!pooled) order_ = sorted_by(category, classes, order_);
  class_begin_.assign((pooled ? 1 : classes) + 1, 0);
  const auto class_of = [&](size_t i) { return pooled ? 0 : static_cast<size_t>(category[static_cast<size_t>(order_[i])]); };
  for (size_t i = 0; i < order_.size(); ++i) {
    const int32_t of = image[static_cast<size_t>(order_[i])];
    if (i == 0 || groups_.back().image != of || class_of(i) != class_of(i - 1)) {
      groups_.push_back({of, static_cast<uint32_t>(i), static_cast<uint32_t>(i)});
      ++class_begin_[class_of(i) + 1];
    }
    ++groups_.back().end;
  }
  std::partial_sum(class_begin_.begin(), class_begin_.end(), class_begin_.begin());
}

double box_iou(const double* d, const double* g, bool crowd) {
  double w = std::min(d[0] + d[2], g[0] + g[2]) - std::max(d[0], g[0]);
  if (w <= 0) return 0;
  double h = std::min(d[1] + d[3], g[1] + g[3]) - std::max(d[1], g[1]);
  if (h <= 0) return 0;
  double i = w * h, da = d[2] * d[3];
  return i / (crowd ? da : da + g[2] * g[3] - i);
}

void Overlaps::find(const GroundTruth& truth, std::span<const int32_t> truths, const DetectionSet& set,
                    std::span<const int32_t> detections, double min_overlap) {
  pairs_.clear();
  begin_.assign(1, 0);
  const auto box_of_truth = [&](int32_t place) {
    return &truth.boxes[static_cast<size_t>(truths[static_cast<size_t>(place)]) * 4];
  };
  const auto is_crowd = [&](int32_t place) { return truth.crowd[static_cast<size_t>(truths[static_cast<size_t>(place)])] != 0; };
  const bool few = truths.size() <= kFewTruths;
  double widest = 0;
  if (!few) {
    by_x_.clear();
    crowds_.clear();
    for (int32_t p = 0; p < static_cast<int32_t>(truths.size()); ++p) {
      if (is_crowd(p)) {
        crowds_.push_back(p);
        continue;
      }
      by_x_.push_back({box_of_truth(p)[0], p});
      widest = std::max(widest, box_of_truth(p)[2]);
    }
    std::sort(by_x_.begin(), by_x_.end(), [](const ByX& a, const ByX& b) { return a.x0 < b.x0; });
  }
  for (const int32_t d : detections) {
    const double* box = &set.boxes[static_cast<size_t>(d) * 4];
    const auto offer = [&](int32_t place) {
      const double o = box_iou(box, box_of_truth(place), is_crowd(place));
      if (o >= min_overlap) pairs_.push_back({place, o});
    };
    if (few) {
      for (int32_t p = 0; p < static_cast<int32_t>(truths.size()); ++p) offer(p);
    } else {
      // Sums of coordinates are rounded: a window a little too wide loses nothing.
      const double left = box[0] - widest * (1 + 1e-12) - 1e-6, right = box[0] + box[2];
      auto k = std::lower_bound(by_x_.begin(), by_x_.end(), left, [](const ByX& a, double x) { return a.x0 < x; });
      for (; k != by_x_.end() && k->x0 < right; ++k) offer(k->place);
      for (const int32_t p : crowds_) offer(p);
      std::sort(pairs_.begin() + static_cast<std::ptrdiff_t>(begin_.back()), pairs_.end(),
                [](const Overlap& a, const Overlap& b) { return a.truth < b.truth; });
    }
    begin_.push_back(pairs_.size());
  }
}

}  // namespace cytodet::eval
