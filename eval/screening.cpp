#include "eval/screening.h"

#include <algorithm>

#include "core/error.h"
#include "eval/resampled_ap.h"

namespace cytodet::eval {
namespace {

constexpr size_t kScores = kScoreSteps + 1;

double step_score(size_t i) { return static_cast<double>(i) / static_cast<double>(kScoreSteps); }

// The number of steps that are at most the score: it counts at steps 0 .. n - 1.
size_t steps_below(double score) {
  size_t n = static_cast<size_t>(std::clamp(score * static_cast<double>(kScoreSteps), 0.0, static_cast<double>(kScoreSteps)));
  while (n > 0 && step_score(n) > score) --n;
  while (n < kScoreSteps && step_score(n + 1) <= score) ++n;
  return score < 0 ? 0 : n + 1;
}

void add_curves(const ClassOutcomes& outcomes, const Bootstrap& bootstrap, ScreeningClass& out) {
  std::vector<uint8_t> steps;
  for (const ScoredOutcome& d : outcomes.detections) steps.push_back(static_cast<uint8_t>(steps_below(d.score)));
  const auto e = bootstrap.estimate(3 * kScores, [&](std::span<const int32_t> weights, std::span<double> values) {
    std::vector<PointCounts> at(kScores + 1);
    for (size_t i = 0; i < steps.size(); ++i) {
      const ScoredOutcome& d = outcomes.detections[i];
      (d.right() ? at[steps[i]].right : at[steps[i]].wrong) += weights[static_cast<size_t>(d.image)];
    }
    int64_t truths = 0;
    for (size_t i = 0; i < weights.size(); ++i) truths += int64_t{weights[i]} * outcomes.truths[i];
    PointCounts c;
    c.truths = truths;
    for (size_t i = kScores; i-- > 0;) {
      c.right += at[i + 1].right;
      c.wrong += at[i + 1].wrong;
      values[i] = precision_of(c);
      values[kScores + i] = recall_of(c);
      values[2 * kScores + i] = f_beta_of(c, 1);
    }
  });
  const auto third = [&](size_t k) {
    return std::vector<Estimate>(e.begin() + static_cast<std::ptrdiff_t>(k * kScores),
                                 e.begin() + static_cast<std::ptrdiff_t>((k + 1) * kScores));
  };
  out.precision = third(0);
  out.recall = third(1);
  out.f1 = third(2);
}

std::vector<CountPair> counts_of(const ClassOutcomes& outcomes, double min_score) {
  const CountsOfImages counts(outcomes, min_score);
  std::vector<CountPair> pairs;
  for (size_t i = 0; i < outcomes.truths.size(); ++i)
    pairs.push_back({static_cast<double>(outcomes.truths[i]), static_cast<double>(counts.right()[i] + counts.wrong()[i])});
  return pairs;
}

void add_slides(const ClassOutcomes& outcomes, const std::vector<int>& labels, const Bootstrap& bootstrap, ScreeningClass& out) {
  std::vector<std::vector<double>> scores(outcomes.truths.size());
  for (const ScoredOutcome& d : outcomes.detections) scores[static_cast<size_t>(d.image)].push_back(d.score);
  const bool has_point = !std::isnan(out.operating_score);
  for (const SlideScore which : kSlideScores) {
    std::vector<double> of_slides;
    for (const auto& s : scores) of_slides.push_back(slide_score(which, s, has_point ? out.operating_score : 0));
    out.slides.push_back(which == SlideScore::count && !has_point ? Roc{} : roc(of_slides, labels, bootstrap));
  }
}

void add_ap(const GroundTruth& truth, const DetectionSet& set, const ScreeningOptions& o, const Bootstrap& bootstrap,
            Screening& s) {
  const ResampledAp ap(truth, set, o.score);
  const std::vector<Estimate> e =
      bootstrap.estimate(ap.count(), [&](std::span<const int32_t> weights, std::span<double> out) { ap(weights, out); });
  s.ap = e[0];
  s.ap50 = e[1];
  s.ap75 = e[2];
  if (o.score.use_categories)
    for (size_t c = 0; c < s.classes.size(); ++c) s.classes[c].ap = e[3 + c];
}

void add_notes(const GroundTruth& truth, const ScreeningOptions& o, Screening& s) {
  if (s.images < 2)
    s.notes.emplace_back("one image gives no intervals: they are over images");
  else if (o.bootstrap.resamples == 0)
    s.notes.emplace_back("no intervals were asked for");
  for (const ScreeningClass& c : s.classes)
    if (c.truths == 0) s.notes.push_back(c.name + ": has no ground truth boxes, so recall and what needs it is undefined");
  const bool both = std::count(o.labels.begin(), o.labels.end(), 1) && std::count(o.labels.begin(), o.labels.end(), 0);
  if (!o.labels.empty() && !both) s.notes.emplace_back("slide labels name no positive and negative image, so there is no ROC");
  if (truth.images.empty()) s.notes.emplace_back("the ground truth has no images");
}

}  // namespace

Screening screen(const GroundTruth& truth, const DetectionSet& set, const ScreeningOptions& o) {
  const size_t images = truth.images.size(), classes = truth.categories.size();
  std::vector<double> least = o.operating_scores;
  least.resize(classes, kUndefined);
  const Bootstrap bootstrap(images, o.bootstrap);
  const std::vector<ClassOutcomes> outcomes = find_class_outcomes(truth, set, {o.iou, o.bootstrap.threads});
  Screening s;
  s.iou = o.iou;
  s.bootstrap = o.bootstrap;
  s.images = images;
  for (size_t c = 0; c < classes; ++c) {
    ScreeningClass& k = s.classes.emplace_back();
    s.names.push_back(k.name = outcomes[c].name);
    k.truths = outcomes[c].truth_count;
    k.detections = static_cast<int64_t>(outcomes[c].detections.size());
    k.operating_score = least[c];
    add_curves(outcomes[c], bootstrap, k);
    k.per_image = froc(outcomes[c], {}, bootstrap);
    if (!o.mm2.empty()) k.per_mm2 = froc(outcomes[c], o.mm2, bootstrap);
    k.calibration = score_calibration(outcomes[c], bootstrap);
    if (!std::isnan(least[c])) {
      k.at_point = figures_at(outcomes[c], least[c], o.mm2, bootstrap);
      k.counts = count_agreement(counts_of(outcomes[c], least[c]), bootstrap);
    }
    if (!o.labels.empty()) add_slides(outcomes[c], o.labels, bootstrap, k);
  }
  add_ap(truth, set, o, bootstrap, s);
  s.confusion = box_confusion(truth, set, outcomes, least, o.iou, bootstrap);
  add_notes(truth, o, s);
  return s;
}

}  // namespace cytodet::eval
