// Which detections are right at one IoU threshold: what figures at a score threshold are made of. Matching is COCO's, by falling
// score, so that the matches of the detections above any score are those found here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/ground_truth.h"

namespace cytodet::eval {

struct OutcomeOptions {
  double iou = 0.5;  // least overlap of a match, in (0, 1]
  int threads = 0;
};

struct ScoredOutcome {
  double score = 0;
  int32_t image = 0;
  int32_t detection = 0, truth = -1;  // indices; truth: the box that it matches, -1: it is false
  bool right() const { return truth >= 0; }
};

struct ClassOutcomes {
  std::string name;
  std::vector<ScoredOutcome> detections;  // score falling, then images ascending; without those that match a crowd
  std::vector<int32_t> truths;            // ground truth boxes per image, crowds not counted
  int64_t truth_count = 0;
};

// One per category. Throws UsageError where iou is out of range.
std::vector<ClassOutcomes> find_class_outcomes(const GroundTruth& truth, const DetectionSet& set,
                                               const OutcomeOptions& options = {});

// Counts of the detections with at least some score.
struct PointCounts {
  int64_t right = 0, wrong = 0, truths = 0;
};
// Undefined where nothing is divided by.
double precision_of(const PointCounts& c);  // right / (right + wrong)
double recall_of(const PointCounts& c);     // right / truths
// (1 + b²) right / ((1 + b²) right + b² missed + wrong), van Rijsbergen 1979; beta 1: F1. Undefined without truths.
double f_beta_of(const PointCounts& c, double beta);

// Counts per image at a least score: sums over any weights of images are made of them.
class CountsOfImages {
 public:
  CountsOfImages(const ClassOutcomes& outcomes, double min_score);
  PointCounts weighted(std::span<const int32_t> weights) const;
  const std::vector<int32_t>& right() const { return right_; }
  const std::vector<int32_t>& wrong() const { return wrong_; }

 private:
  std::vector<int32_t> right_, wrong_;
  const std::vector<int32_t>& truths_;
};

// Calls f(score, counts) at each score that occurs, falling: counts of the detections of at least that score, each as often as
// its image's weight says. Scores of images of weight 0 are left out. f returns whether to go on.
template <class F>
void sweep(const ClassOutcomes& outcomes, std::span<const int32_t> weights, F f) {
  PointCounts c;
  for (size_t i = 0; i < weights.size(); ++i) c.truths += int64_t{weights[i]} * outcomes.truths[i];
  const auto& all = outcomes.detections;
  for (size_t i = 0; i < all.size();) {
    const double score = all[i].score;
    const PointCounts before = c;
    for (; i < all.size() && all[i].score == score; ++i) {
      const int32_t w = weights[static_cast<size_t>(all[i].image)];
      (all[i].right() ? c.right : c.wrong) += w;
    }
    if ((c.right != before.right || c.wrong != before.wrong) && !f(score, c)) return;
  }
}

}  // namespace cytodet::eval
