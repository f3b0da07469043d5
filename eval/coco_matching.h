// Matching by pycocotools' rules at its ten IoU thresholds. For the sources of this room.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "eval/box_groups.h"
#include "eval/coco.h"

namespace cytodet::eval {

constexpr size_t kThresholds = 10, kRecalls = 101, kAreas = 4;  // areas: all, small, medium, large
constexpr uint16_t kAllThresholds = (1u << kThresholds) - 1;

std::array<double, kThresholds> iou_thresholds();  // 0.5, 0.55 .. 0.95, as numpy.linspace rounds them
std::array<double, kRecalls> recall_thresholds();  // 0, 0.01 .. 1

// The 101-point average precision of a curve: the mean, over the recall thresholds r, of the largest precision at any recall that
// reaches r. `precision`: after each match, in the order of scores; becomes its envelope, which never rises. reaches(i, r):
// recall after match i is at least threshold r. `at_recalls`: also gets the precision at each r; may be null.
template <class Reaches>
double average_precision(std::vector<double>& precision, Reaches reaches, std::array<double, kRecalls>* at_recalls = nullptr) {
  for (size_t i = precision.size(); i-- > 1;) precision[i - 1] = std::max(precision[i - 1], precision[i]);
  double total = 0;
  size_t at = 0;
  for (size_t r = 0; r < kRecalls; ++r) {
    while (at < precision.size() && !reaches(at, r)) ++at;
    const double p = at < precision.size() ? precision[at] : 0;
    total += p;
    if (at_recalls) (*at_recalls)[r] = p;
  }
  return total / static_cast<double>(kRecalls);
}

// One detection that is scored. Bit t of an area range: matched, ignored at IoU threshold t.
struct DetectionMatches {
  double score = 0;
  int32_t image = 0;
  int32_t rank = 0;  // among its image's detections of the class
  std::array<uint16_t, kAreas> matched{}, ignored{};
};

struct ImageTruths {
  int32_t image = 0;
  int32_t count = 0;  // of the class, crowds not counted
};

struct ClassMatches {
  std::vector<DetectionMatches> outcomes;  // images ascending, score falling within
  std::array<int64_t, kAreas> truths{};    // not ignored
  std::vector<ImageTruths> of_images;      // images ascending
  int64_t cut = 0;                         // detections beyond the last of max_dets
};

// The truth that a detection takes, -1 for none: the best of the free ones that overlap by at least `min_overlap`, of equal ones
// the later; an ignored one only where no other does. A crowd is always free.
template <class IsTaken>
int32_t best_match(std::span<const Overlap> pairs, double min_overlap, const std::vector<char>& ignored, IsTaken is_taken) {
  double best = min_overlap < 1 - 1e-10 ? min_overlap : 1 - 1e-10;
  int32_t match = -1;
  for (const bool of_ignored : {false, true}) {
    if (of_ignored && match >= 0) break;
    for (const Overlap& o : pairs) {
      if ((ignored[static_cast<size_t>(o.truth)] != 0) != of_ignored || o.iou < best || is_taken(o.truth)) continue;
      best = o.iou;
      match = o.truth;
    }
  }
  return match;
}

// `c`: a class, or 0 where the groups are pooled. `areas`: the first of the four ranges that are looked at.
ClassMatches match_class(const GroundTruth& truth, const DetectionSet& set, const BoxGroups& truths, const BoxGroups& detections,
                         size_t c, const ScoreOptions& options, size_t areas = kAreas);

// Indices of outcomes by falling score, equal ones as they stand.
std::vector<uint32_t> by_falling_score(const ClassMatches& matches);

}  // namespace cytodet::eval
