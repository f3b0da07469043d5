#include "eval/class_outcomes.h"

#include <algorithm>

#include "core/error.h"
#include "core/parallel.h"
#include "eval/bootstrap.h"
#include "eval/coco_matching.h"

namespace cytodet::eval {
namespace {

ClassOutcomes outcomes_of_class(const GroundTruth& truth, const DetectionSet& set, const BoxGroups& truths,
                                const BoxGroups& found, size_t c, double min_iou) {
  ClassOutcomes out;
  out.name = truth.categories[c].name;
  out.truths.assign(truth.images.size(), 0);
  Overlaps overlaps;
  std::vector<int32_t> ranked;
  std::vector<char> crowd, taken;
  each_image(truths, found, c, [&](int32_t image, std::span<const int32_t> wanted, std::span<const int32_t> boxes) {
    crowd.clear();
    for (const int32_t g : wanted) crowd.push_back(truth.crowd[static_cast<size_t>(g)] != 0);
    taken.assign(wanted.size(), 0);
    const auto counted = static_cast<int32_t>(std::count(crowd.begin(), crowd.end(), 0));
    out.truths[static_cast<size_t>(image)] = counted;
    out.truth_count += counted;
    ranked.assign(boxes.begin(), boxes.end());
    const auto score = [&](int32_t d) { return set.scores[static_cast<size_t>(d)]; };
    std::stable_sort(ranked.begin(), ranked.end(), [&](int32_t a, int32_t b) { return score(a) > score(b); });
    overlaps.find(truth, wanted, set, ranked, min_iou);
    for (size_t d = 0; d < ranked.size(); ++d) {
      const int32_t match = best_match(overlaps.of(d), min_iou, crowd, [&](int32_t g) {
        return taken[static_cast<size_t>(g)] && !crowd[static_cast<size_t>(g)];
      });
      if (match >= 0 && crowd[static_cast<size_t>(match)]) continue;
      if (match >= 0) taken[static_cast<size_t>(match)] = 1;
      out.detections.push_back({score(ranked[d]), image, ranked[d], match < 0 ? -1 : wanted[static_cast<size_t>(match)]});
    }
  });
  std::stable_sort(out.detections.begin(), out.detections.end(),
                   [](const ScoredOutcome& a, const ScoredOutcome& b) { return a.score > b.score; });
  return out;
}

double ratio(double part, double whole) { return whole > 0 ? part / whole : kUndefined; }

}  // namespace

std::vector<ClassOutcomes> find_class_outcomes(const GroundTruth& truth, const DetectionSet& set, const OutcomeOptions& options) {
  if (!(options.iou > 0 && options.iou <= 1)) throw UsageError("the least IoU of a match", "must be above 0 and at most 1");
  const size_t classes = truth.categories.size(), images = truth.images.size();
  const BoxGroups truths(truth.image, truth.category, images, classes, false);
  const BoxGroups found(set.image, set.category, images, classes, false);
  std::vector<ClassOutcomes> all(classes);
  parallel_for(static_cast<int64_t>(classes), options.threads, [&](int64_t c) {
    const auto k = static_cast<size_t>(c);
    all[k] = outcomes_of_class(truth, set, truths, found, k, options.iou);
  });
  return all;
}

double precision_of(const PointCounts& c) { return ratio(static_cast<double>(c.right), static_cast<double>(c.right + c.wrong)); }
double recall_of(const PointCounts& c) { return ratio(static_cast<double>(c.right), static_cast<double>(c.truths)); }
double f_beta_of(const PointCounts& c, double beta) {
  if (c.truths == 0) return kUndefined;
  const double b = beta * beta, right = (1 + b) * static_cast<double>(c.right);
  return right / (right + b * static_cast<double>(c.truths - c.right) + static_cast<double>(c.wrong));
}

CountsOfImages::CountsOfImages(const ClassOutcomes& outcomes, double min_score)
    : right_(outcomes.truths.size(), 0), wrong_(outcomes.truths.size(), 0), truths_(outcomes.truths) {
  for (const ScoredOutcome& d : outcomes.detections) {
    if (d.score < min_score) break;
    ++(d.right() ? right_ : wrong_)[static_cast<size_t>(d.image)];
  }
}

PointCounts CountsOfImages::weighted(std::span<const int32_t> weights) const {
  PointCounts c;
  for (size_t i = 0; i < weights.size(); ++i) {
    const int64_t w = weights[i];
    c.right += w * right_[i];
    c.wrong += w * wrong_[i];
    c.truths += w * truths_[i];
  }
  return c;
}

}  // namespace cytodet::eval
