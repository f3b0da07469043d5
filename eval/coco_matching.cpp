#include "eval/coco_matching.h"

#include <algorithm>
#include <numeric>

namespace cytodet::eval {
namespace {

constexpr double kAreaLow[kAreas] = {0, 0, 1024, 9216}, kAreaHigh[kAreas] = {1e10, 1024, 9216, 1e10};

bool outside(double area, size_t range) { return area < kAreaLow[range] || area > kAreaHigh[range]; }

// The boxes of one class on one image after another.
class ImageMatcher {
 public:
  ImageMatcher(const GroundTruth& truth, const DetectionSet& set, const ScoreOptions& options, size_t areas)
      : truth_(truth), set_(set), options_(options), areas_(areas) {}

  void run(int32_t image, std::span<const int32_t> truths, std::span<const int32_t> found, ClassMatches& out) {
    found_.assign(found.begin(), found.end());
    std::stable_sort(found_.begin(), found_.end(), [&](int32_t a, int32_t b) { return score(a) > score(b); });
    const size_t kept = std::min(found_.size(), static_cast<size_t>(options_.max_dets.back()));
    out.cut += static_cast<int64_t>(found_.size() - kept);
    found_.resize(kept);
    overlaps_.find(truth_, truths, set_, found_, 0.5);
    const size_t first = out.outcomes.size();
    for (size_t d = 0; d < kept; ++d) out.outcomes.push_back({score(found_[d]), image, static_cast<int32_t>(d), {}, {}});
    for (size_t a = 0; a < areas_; ++a) {
      ignored_.resize(truths.size());
      int32_t counted = 0;
      for (size_t g = 0; g < truths.size(); ++g) {
        const auto k = static_cast<size_t>(truths[g]);
        ignored_[g] = truth_.crowd[k] || outside(truth_.areas[k], a);
        counted += !ignored_[g];
      }
      out.truths[a] += counted;
      if (a == 0 && counted) out.of_images.push_back({image, counted});
      match_range(a, truths, out.outcomes.data() + first);
    }
  }

 private:
  double score(int32_t d) const { return set_.scores[static_cast<size_t>(d)]; }

  void match_range(size_t a, std::span<const int32_t> truths, DetectionMatches* out) {
    static const std::array<double, kThresholds> thresholds = iou_thresholds();
    // Bit t: taken at threshold t.
    taken_.assign(truths.size(), 0);
    for (size_t d = 0; d < found_.size(); ++d) {
      const double* box = &set_.boxes[static_cast<size_t>(found_[d]) * 4];
      const bool out_of_range = outside(box[2] * box[3], a);
      const std::span<const Overlap> pairs = overlaps_.of(d);
      if (pairs.empty()) {
        out[d].ignored[a] = out_of_range ? kAllThresholds : 0;
        continue;
      }
      for (size_t t = 0; t < kThresholds; ++t) {
        const int32_t match = best_match(pairs, thresholds[t], ignored_, [&](int32_t g) {
          const auto k = static_cast<size_t>(g);
          return (taken_[k] >> t & 1) && !truth_.crowd[static_cast<size_t>(truths[k])];
        });
        bool matched = false, ignore = false;
        if (match >= 0) {
          const auto m = static_cast<size_t>(match);
          taken_[m] |= static_cast<uint16_t>(1u << t);
          ignore = ignored_[m];
          matched = !(options_.pycocotools_id0 && truth_.ids[static_cast<size_t>(truths[m])] == 0);
        }
        if (!matched) ignore = ignore || out_of_range;
        out[d].matched[a] |= static_cast<uint16_t>(matched << t);
        out[d].ignored[a] |= static_cast<uint16_t>(ignore << t);
      }
    }
  }

  const GroundTruth& truth_;
  const DetectionSet& set_;
  const ScoreOptions& options_;
  size_t areas_;
  Overlaps overlaps_;
  std::vector<int32_t> found_;
  std::vector<char> ignored_;
  std::vector<uint16_t> taken_;
};

}  // namespace

// numpy.linspace's own arithmetic, so that comparisons fall the same way.
std::array<double, kThresholds> iou_thresholds() {
  std::array<double, kThresholds> t;
  const double step = (0.95 - 0.5) / 9;
  for (size_t i = 0; i < kThresholds; ++i) t[i] = static_cast<double>(i) * step + 0.5;
  t[9] = 0.95;
  return t;
}

std::array<double, kRecalls> recall_thresholds() {
  std::array<double, kRecalls> r;
  for (size_t i = 0; i < kRecalls; ++i) r[i] = static_cast<double>(i) * 0.01;
  r[100] = 1.0;
  return r;
}

ClassMatches match_class(const GroundTruth& truth, const DetectionSet& set, const BoxGroups& truths, const BoxGroups& detections,
                         size_t c, const ScoreOptions& options, size_t areas) {
  ClassMatches matches;
  ImageMatcher matcher(truth, set, options, areas);
  each_image(truths, detections, c, [&](int32_t image, std::span<const int32_t> wanted, std::span<const int32_t> found) {
    matcher.run(image, wanted, found, matches);
  });
  return matches;
}

std::vector<uint32_t> by_falling_score(const ClassMatches& matches) {
  std::vector<uint32_t> order(matches.outcomes.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return matches.outcomes[a].score > matches.outcomes[b].score; });
  return order;
}

}  // namespace cytodet::eval
