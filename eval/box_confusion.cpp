#include "eval/box_confusion.h"

#include <algorithm>

#include "eval/box_groups.h"

namespace cytodet::eval {
namespace {

struct ConfusedPair {
  int32_t image, row, column;
};

struct CrossOverlap {
  double iou;
  int32_t detection, truth;
};

class Confusions {
 public:
  Confusions(const GroundTruth& truth, const DetectionSet& set, const std::vector<ClassOutcomes>& outcomes,
             const std::vector<double>& min_scores, double min_iou)
      : truth_(truth), set_(set), min_iou_(min_iou), background_(static_cast<int32_t>(truth.categories.size())) {
    std::vector<char> found(truth.size(), 0);
    std::vector<std::vector<int32_t>> open(truth.images.size()), missed(truth.images.size());
    for (size_t c = 0; c < outcomes.size(); ++c)
      for (const ScoredOutcome& d : outcomes[c].detections) {
        if (!(d.score >= min_scores[c])) break;
        if (!d.right()) {
          open[static_cast<size_t>(d.image)].push_back(d.detection);
          continue;
        }
        found[static_cast<size_t>(d.truth)] = 1;
        pairs.push_back({d.image, static_cast<int32_t>(c), static_cast<int32_t>(c)});
      }
    for (size_t t = 0; t < truth.size(); ++t)
      if (!found[t] && !truth.crowd[t]) missed[static_cast<size_t>(truth.image[t])].push_back(static_cast<int32_t>(t));
    for (size_t i = 0; i < truth.images.size(); ++i) {
      std::sort(open[i].begin(), open[i].end());
      join(static_cast<int32_t>(i), open[i], missed[i]);
    }
  }
  std::vector<ConfusedPair> pairs;

 private:
  void join(int32_t image, const std::vector<int32_t>& open, const std::vector<int32_t>& missed) {
    overlaps_.find(truth_, missed, set_, open, min_iou_);
    cross_.clear();
    for (size_t d = 0; d < open.size(); ++d)
      for (const Overlap& o : overlaps_.of(d)) cross_.push_back({o.iou, static_cast<int32_t>(d), o.truth});
    std::stable_sort(cross_.begin(), cross_.end(), [](const CrossOverlap& a, const CrossOverlap& b) { return a.iou > b.iou; });
    std::vector<char> used(open.size(), 0), taken(missed.size(), 0);
    const auto class_of_truth = [&](size_t t) { return truth_.category[static_cast<size_t>(missed[t])]; };
    const auto class_of_box = [&](size_t d) { return set_.category[static_cast<size_t>(open[d])]; };
    for (const CrossOverlap& o : cross_) {
      const auto d = static_cast<size_t>(o.detection), t = static_cast<size_t>(o.truth);
      if (used[d] || taken[t]) continue;
      used[d] = taken[t] = 1;
      pairs.push_back({image, class_of_truth(t), class_of_box(d)});
    }
    for (size_t d = 0; d < open.size(); ++d)
      if (!used[d]) pairs.push_back({image, background_, class_of_box(d)});
    for (size_t t = 0; t < missed.size(); ++t)
      if (!taken[t]) pairs.push_back({image, class_of_truth(t), background_});
  }

  const GroundTruth& truth_;
  const DetectionSet& set_;
  double min_iou_;
  int32_t background_;
  Overlaps overlaps_;
  std::vector<CrossOverlap> cross_;
};

}  // namespace

std::vector<FrequentConfusion> frequent_confusions(const BoxConfusion& confusion, size_t max_count) {
  std::vector<FrequentConfusion> all;
  for (size_t row = 0; row < confusion.classes; ++row)
    for (size_t column = 0; column < confusion.classes; ++column)
      if (row != column && confusion.at(row, column).value > 0) all.push_back({row, column, confusion.at(row, column)});
  std::stable_sort(all.begin(), all.end(),
                   [](const FrequentConfusion& a, const FrequentConfusion& b) { return a.count.value > b.count.value; });
  if (all.size() > max_count) all.resize(max_count);
  return all;
}

BoxConfusion box_confusion(const GroundTruth& truth, const DetectionSet& set, const std::vector<ClassOutcomes>& outcomes,
                           const std::vector<double>& min_scores, double min_iou, const Bootstrap& bootstrap) {
  std::vector<ConfusedPair> pairs = Confusions(truth, set, outcomes, min_scores, min_iou).pairs;
  std::stable_sort(pairs.begin(), pairs.end(), [](const ConfusedPair& a, const ConfusedPair& b) { return a.row < b.row; });
  BoxConfusion confusion;
  confusion.classes = truth.categories.size();
  auto first = pairs.begin();
  // Row by row: the resamples of all cells at once would take memory by the square of the classes.
  for (size_t row = 0; row <= confusion.classes; ++row) {
    const auto last = std::find_if(first, pairs.end(), [&](const ConfusedPair& p) { return static_cast<size_t>(p.row) > row; });
    std::vector<Estimate> cells(confusion.classes + 1, Estimate{0, Interval{0, 0}});
    if (!bootstrap.has_intervals()) cells.assign(confusion.classes + 1, Estimate{0, std::nullopt});
    if (first != last)
      cells = bootstrap.estimate(confusion.classes + 1, [&](std::span<const int32_t> weights, std::span<double> out) {
        std::fill(out.begin(), out.end(), 0);
        for (auto p = first; p != last; ++p) out[static_cast<size_t>(p->column)] += weights[static_cast<size_t>(p->image)];
      });
    confusion.cells.insert(confusion.cells.end(), cells.begin(), cells.end());
    first = last;
  }
  return confusion;
}

}  // namespace cytodet::eval
