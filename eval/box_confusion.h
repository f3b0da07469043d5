// Which class is taken for which, and for background, among detections of at least their class's score.
#pragma once

#include <cstdint>
#include <vector>

#include "eval/bootstrap.h"
#include "eval/class_outcomes.h"

namespace cytodet::eval {

// Rows: ground truth; columns: detections; the last of each is background. A detection that is right by find_class_outcomes()
// is on the diagonal; what is left on both sides is paired across classes by falling IoU (of at least that of a match), ties by
// index; the rest is background. Boxes that match a crowd, and crowds, do not count.
struct BoxConfusion {
  size_t classes = 0;
  std::vector<Estimate> cells;  // [row * (classes + 1) + column]
  const Estimate& at(size_t row, size_t column) const { return cells[row * (classes + 1) + column]; }
};
// What is taken for another class most often, without background; most frequent first.
struct FrequentConfusion {
  size_t truth = 0, taken_for = 0;
  Estimate count;
};
std::vector<FrequentConfusion> frequent_confusions(const BoxConfusion& confusion, size_t max_count = 20);
constexpr size_t kMaxInTable = 20;  // classes; of more, a table of all cells is not readable

// `min_scores`: per class; detections of a class with NaN there are left out.
BoxConfusion box_confusion(const GroundTruth& truth, const DetectionSet& set, const std::vector<ClassOutcomes>& outcomes,
                           const std::vector<double>& min_scores, double min_iou, const Bootstrap& bootstrap);

}  // namespace cytodet::eval
