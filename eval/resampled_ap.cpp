#include "eval/resampled_ap.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/parallel.h"
#include "eval/bootstrap.h"
#include "eval/coco_matching.h"

namespace cytodet::eval {
namespace {

// Buffers of one thread.
struct ApScratch {
  std::vector<int64_t> before;  // weights of the detections before each place, and of all
  std::vector<double> precision;
  std::vector<int64_t> found;
  std::array<int64_t, kRecalls> needed{};  // matches at which recall reaches 0, 0.01 .. 1
};

// The least whole number of `truths` whose share is at least each recall threshold, by the same division as score().
void fill_needed(std::array<int64_t, kRecalls>& needed, double truths) {
  static const std::array<double, kRecalls> recalls = recall_thresholds();
  for (size_t r = 0; r < kRecalls; ++r) {
    auto n = static_cast<int64_t>(recalls[r] * truths);
    while (n > 0 && static_cast<double>(n - 1) / truths >= recalls[r]) --n;
    while (static_cast<double>(n) / truths < recalls[r]) ++n;
    needed[r] = n;
  }
}

}  // namespace

struct ResampledAp::Class {
  struct Threshold {
    std::vector<uint32_t> matched, ignored;  // places in `image`, ascending
  };
  std::vector<int32_t> image;  // of the detections that are not ignored everywhere, score falling
  std::vector<ImageTruths> truths;
  std::array<Threshold, kThresholds> at;

  double ap(size_t t, std::span<const int32_t> weights, ApScratch& s) const {
    s.precision.clear();
    s.found.clear();
    int64_t found = 0, ignored = 0;
    size_t skipped = 0;
    const Threshold& threshold = at[t];
    for (const uint32_t place : threshold.matched) {
      const int32_t w = weights[static_cast<size_t>(image[place])];
      if (w == 0) continue;
      while (skipped < threshold.ignored.size() && threshold.ignored[skipped] < place)
        ignored += weights[static_cast<size_t>(image[threshold.ignored[skipped++]])];
      found += w;
      const auto all = static_cast<double>(s.before[place + 1] - ignored);
      s.precision.push_back(static_cast<double>(found) / (all + std::numeric_limits<double>::epsilon()));
      s.found.push_back(found);
    }
    return average_precision(s.precision, [&](size_t i, size_t r) { return s.found[i] >= s.needed[r]; });
  }
};

ResampledAp::ResampledAp(const GroundTruth& truth, const DetectionSet& set, const ScoreOptions& options) {
  const size_t classes = options.use_categories ? truth.categories.size() : 1;
  const BoxGroups truths(truth.image, truth.category, truth.images.size(), truth.categories.size(), !options.use_categories);
  const BoxGroups found(set.image, set.category, truth.images.size(), truth.categories.size(), !options.use_categories);
  classes_.resize(classes);
  parallel_for(static_cast<int64_t>(classes), options.threads, [&](int64_t i) {
    const auto c = static_cast<size_t>(i);
    const ClassMatches matches = match_class(truth, set, truths, found, c, options, 1);
    Class& out = classes_[c];
    out.truths = matches.of_images;
    for (const uint32_t d : by_falling_score(matches)) {
      const DetectionMatches& o = matches.outcomes[d];
      const uint16_t ignored = o.ignored[0], matched = o.matched[0];
      if (ignored == kAllThresholds) continue;
      const auto place = static_cast<uint32_t>(out.image.size());
      out.image.push_back(o.image);
      if (!ignored && !matched) continue;
      for (size_t t = 0; t < kThresholds; ++t)
        if (ignored >> t & 1)
          out.at[t].ignored.push_back(place);
        else if (matched >> t & 1)
          out.at[t].matched.push_back(place);
    }
  });
}

ResampledAp::~ResampledAp() = default;

size_t ResampledAp::count() const { return 3 + classes_.size(); }

void ResampledAp::operator()(std::span<const int32_t> weights, std::span<double> out) const {
  thread_local ApScratch scratch;
  double sum = 0, sum50 = 0, sum75 = 0;
  int scored = 0;
  for (size_t c = 0; c < classes_.size(); ++c) {
    const Class& k = classes_[c];
    int64_t truths = 0;
    for (const ImageTruths& t : k.truths) truths += int64_t{weights[static_cast<size_t>(t.image)]} * t.count;
    if (truths == 0) continue;
    fill_needed(scratch.needed, static_cast<double>(truths));
    scratch.before.resize(k.image.size() + 1);
    int64_t before = 0;
    for (size_t i = 0; i < k.image.size(); ++i) {
      scratch.before[i] = before;
      before += weights[static_cast<size_t>(k.image[i])];
    }
    scratch.before[k.image.size()] = before;
    double of_class = 0;
    for (size_t t = 0; t < kThresholds; ++t) {
      const double ap = k.ap(t, weights, scratch);
      of_class += ap;
      if (t == 0) sum50 += ap;
      if (t == 5) sum75 += ap;
    }
    out[3 + c] = of_class / static_cast<double>(kThresholds);
    sum += out[3 + c];
    ++scored;
  }
  if (scored == 0) return;
  out[0] = sum / scored;
  out[1] = sum50 / scored;
  out[2] = sum75 / scored;
}

}  // namespace cytodet::eval
