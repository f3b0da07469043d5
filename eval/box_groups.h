// Annotations and detections grouped by class and image, and which of them overlap. For the sources of this room.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/ground_truth.h"

namespace cytodet::eval {

// The boxes of one class on one image: a piece of BoxGroups::order.
struct BoxGroup {
  int32_t image = 0;
  uint32_t begin = 0, end = 0;
};

// Indices by ascending class and image, in the order of the file within; memory grows with the boxes, not with classes * images.
class BoxGroups {
 public:
  // `pooled`: all classes are class 0; an image's boxes stay sorted by class.
  BoxGroups(const std::vector<int32_t>& image, const std::vector<int32_t>& category, size_t images, size_t classes, bool pooled);

  std::span<const BoxGroup> of_class(size_t c) const {
    return {groups_.data() + class_begin_[c], groups_.data() + class_begin_[c + 1]};
  }
  std::span<const int32_t> of(const BoxGroup& g) const { return {order_.data() + g.begin, order_.data() + g.end}; }

 private:
  std::vector<int32_t> order_;
  std::vector<BoxGroup> groups_;
  std::vector<size_t> class_begin_;
};

// Calls f(image, truths, detections) for each image that has boxes of the class, by ascending image.
template <class F>
void each_image(const BoxGroups& truths, const BoxGroups& detections, size_t c, F f) {
  const auto a = truths.of_class(c), b = detections.of_class(c);
  for (size_t i = 0, k = 0; i < a.size() || k < b.size();) {
    const bool has_truth = i < a.size() && (k == b.size() || a[i].image <= b[k].image);
    const bool has_found = k < b.size() && (i == a.size() || b[k].image <= a[i].image);
    const int32_t image = has_truth ? a[i].image : b[k].image;
    f(image, has_truth ? truths.of(a[i]) : std::span<const int32_t>(),
      has_found ? detections.of(b[k]) : std::span<const int32_t>());
    i += has_truth;
    k += has_found;
  }
}

// COCO's IoU of x, y, width, height: continuous coordinates; with a crowd the intersection's share of the detection.
double box_iou(const double* detection, const double* truth, bool crowd);

struct Overlap {
  int32_t truth = 0;  // place in the list of truths
  double iou = 0;
};

// The pairs of one image that overlap by at least `min_overlap` > 0. Memory grows with the pairs that do.
class Overlaps {
 public:
  void find(const GroundTruth& truth, std::span<const int32_t> truths, const DetectionSet& set,
            std::span<const int32_t> detections, double min_overlap);
  // The overlaps of the d-th detection, truths ascending.
  std::span<const Overlap> of(size_t d) const { return {pairs_.data() + begin_[d], pairs_.data() + begin_[d + 1]}; }

 private:
  struct ByX {
    double x0;
    int32_t place;
  };
  std::vector<Overlap> pairs_;
  std::vector<size_t> begin_;
  std::vector<ByX> by_x_;
  std::vector<int32_t> crowds_;
};

}  // namespace cytodet::eval
