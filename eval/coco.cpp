#include "eval/coco.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_set>

#include "core/error.h"
#include "core/parallel.h"
#include "eval/box_groups.h"
#include "eval/coco_matching.h"

namespace cytodet::eval {
namespace {

struct Accumulated {
  // [area][max_dets index][threshold]
  std::vector<std::array<double, kThresholds>> recall, ap;  // -1 without ground truth
  std::array<std::array<double, kRecalls>, kThresholds> precision;
};

// The turns of one area range: the detections that match somewhere or are ignored at some thresholds only, with the number of the
// others before them, which are false at all thresholds.
struct Turn {
  int64_t false_before = 0;
  uint16_t matched = 0, ignored = 0;
};
using Turns = std::vector<Turn>;  // score falling

Turns turns_of(const ClassMatches& work, const std::vector<uint32_t>& order, size_t area, int max_dets) {
  Turns turns;
  int64_t false_before = 0;
  for (const uint32_t i : order) {
    const DetectionMatches& o = work.outcomes[i];
    if (o.rank >= max_dets) continue;
    if (o.matched[area] || (o.ignored[area] && o.ignored[area] != kAllThresholds))
      turns.push_back({false_before, o.matched[area], o.ignored[area]});
    else if (!o.ignored[area])
      ++false_before;
  }
  return turns;
}

// The 101-point AP and the recall at threshold t. Precision falls between matches, so that its envelope changes at matches alone.
struct Curve {
  double ap = 0, recall = 0;
};
Curve curve_of(const Turns& turns, size_t t, double truths, std::array<double, kRecalls>* precision, std::vector<double>& rc,
               std::vector<double>& pr) {
  static const std::array<double, kRecalls> recalls = recall_thresholds();
  rc.clear();
  pr.clear();
  double tp = 0, more_fp = 0;
  for (const Turn& turn : turns) {
    if (turn.ignored >> t & 1) continue;
    if (!(turn.matched >> t & 1)) {
      ++more_fp;
      continue;
    }
    ++tp;
    const double fp = static_cast<double>(turn.false_before) + more_fp;
    rc.push_back(tp / truths);
    pr.push_back(tp / (fp + tp + std::numeric_limits<double>::epsilon()));
  }
  const double ap = average_precision(
      pr, [&](size_t i, size_t r) { return rc[i] >= recalls[r]; }, precision);
  return {ap, rc.empty() ? 0 : rc.back()};
}

Accumulated accumulate(const ClassMatches& work, const std::vector<int>& max_dets) {
  const size_t m_count = max_dets.size();
  Accumulated acc;
  std::array<double, kThresholds> none;
  none.fill(-1);
  acc.recall.assign(kAreas * m_count, none);
  acc.ap.assign(kAreas * m_count, none);
  for (auto& row : acc.precision) row.fill(-1);
  const std::vector<uint32_t> order = by_falling_score(work);
  std::vector<double> rc, pr;
  for (size_t m = 0; m < m_count; ++m)
    for (size_t a = 0; a < kAreas; ++a) {
      // Only the figures that are reported: every max_dets for all areas, the last one for each area.
      const bool last = m + 1 == m_count;
      if ((a != 0 && !last) || work.truths[a] == 0) continue;
      const Turns turns = turns_of(work, order, a, max_dets[m]);
      for (size_t t = 0; t < kThresholds; ++t) {
        const Curve c =
            curve_of(turns, t, static_cast<double>(work.truths[a]), last && a == 0 ? &acc.precision[t] : nullptr, rc, pr);
        acc.recall[a * m_count + m][t] = c.recall;
        if (last) acc.ap[a * m_count + m][t] = c.ap;
      }
    }
  return acc;
}

// VOC: every detection takes the ground truth box it overlaps most; a second one on the same box is false. Detections of one
// score enter together, so that precision and recall do not depend on the order of the file.
void voc(const GroundTruth& truth, const DetectionSet& dets, const BoxGroups& truths, const BoxGroups& found, size_t c,
         ClassScores& out) {
  struct Scored {
    double score;
    int32_t detection, match;  // match: annotation, -1 for none
  };
  std::vector<Scored> order;
  Overlaps overlaps;
  int64_t total = 0;
  each_image(truths, found, c, [&](int32_t, std::span<const int32_t> wanted, std::span<const int32_t> boxes) {
    for (const int32_t g : wanted) total += !truth.crowd[static_cast<size_t>(g)];
    if (wanted.empty()) {
      for (const int32_t d : boxes) order.push_back({dets.scores[static_cast<size_t>(d)], d, -1});
      return;
    }
    overlaps.find(truth, wanted, dets, boxes, 0.5);
    for (size_t i = 0; i < boxes.size(); ++i) {
      const double* box = &dets.boxes[static_cast<size_t>(boxes[i]) * 4];
      double best = -1;
      int32_t match = -1;
      for (const Overlap& o : overlaps.of(i)) {
        const int32_t g = wanted[static_cast<size_t>(o.truth)];
        const double iou =
            truth.crowd[static_cast<size_t>(g)] ? box_iou(box, &truth.boxes[static_cast<size_t>(g) * 4], false) : o.iou;
        if (iou > best) best = iou, match = g;
      }
      order.push_back({dets.scores[static_cast<size_t>(boxes[i])], boxes[i], best >= 0.5 ? match : -1});
    }
  });
  if (total == 0) return;
  std::sort(order.begin(), order.end(),
            [](const Scored& a, const Scored& b) { return a.score != b.score ? a.score > b.score : a.detection < b.detection; });
  std::unordered_set<int32_t> taken;
  std::vector<double> rc, pr;
  double tp = 0, fp = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const int32_t match = order[i].match;
    if (match < 0)
      ++fp;
    else if (!truth.crowd[static_cast<size_t>(match)])
      taken.insert(match).second ? ++tp : ++fp;
    if ((i + 1 < order.size() && order[i].score == order[i + 1].score) || tp + fp == 0) continue;
    rc.push_back(tp / static_cast<double>(total));
    pr.push_back(tp / (tp + fp));
  }
  for (size_t i = pr.size(); i-- > 1;) pr[i - 1] = std::max(pr[i - 1], pr[i]);
  out.voc2007 = out.voc2010 = 0;
  for (int k = 0; k <= 10; ++k) {
    size_t at = static_cast<size_t>(std::lower_bound(rc.begin(), rc.end(), k / 10.0 - 1e-12) - rc.begin());
    out.voc2007 += (at < pr.size() ? pr[at] : 0) / 11;
  }
  for (size_t i = 0; i < rc.size(); ++i) out.voc2010 += (rc[i] - (i ? rc[i - 1] : 0)) * pr[i];
}

double mean_of(const std::vector<double>& values) {
  double total = 0;
  size_t n = 0;
  for (double v : values)
    if (v > -1) total += v, ++n;
  return n ? total / static_cast<double>(n) : -1;
}

}  // namespace

Scores score(const GroundTruth& truth, const DetectionSet& detections, const ScoreOptions& options) {
  Scores s;
  if (options.max_dets.empty() || !std::is_sorted(options.max_dets.begin(), options.max_dets.end()) ||
      options.max_dets.front() < 1)
    throw UsageError("max_dets", "must be ascending counts of at least 1");
  s.max_dets = options.max_dets;
  s.warnings = truth.warnings;
  s.warnings.insert(s.warnings.end(), detections.warnings.begin(), detections.warnings.end());
  const int classes = options.use_categories ? static_cast<int>(truth.categories.size()) : 1;
  const size_t m_count = options.max_dets.size();
  std::vector<Accumulated> acc(static_cast<size_t>(classes));
  std::vector<int64_t> cut(static_cast<size_t>(classes), 0);
  const BoxGroups truths(truth.image, truth.category, truth.images.size(), truth.categories.size(), !options.use_categories);
  const BoxGroups found(detections.image, detections.category, truth.images.size(), truth.categories.size(),
                        !options.use_categories);
  s.classes.resize(static_cast<size_t>(classes));
  parallel_for(classes, options.threads, [&](int64_t c) {
    size_t k = static_cast<size_t>(c);
    const ClassMatches work = match_class(truth, detections, truths, found, k, options);
    acc[k] = accumulate(work, options.max_dets);
    cut[k] = work.cut;
    ClassScores& out = s.classes[k];
    out.name = options.use_categories ? truth.categories[k].name : "all";
    out.truths = work.truths[0];
    out.precision = acc[k].precision;
    const auto& ap = acc[k].ap[m_count - 1];
    const auto& ar = acc[k].recall[m_count - 1];
    out.ap = mean_of({ap.begin(), ap.end()});
    out.ap50 = ap[0];
    out.ap75 = ap[5];
    out.ar = mean_of({ar.begin(), ar.end()});
    voc(truth, detections, truths, found, k, out);
  });
  auto collect = [&](bool recall, size_t area, size_t m, int threshold) {
    std::vector<double> values;
    for (const Accumulated& a : acc) {
      const auto& row = recall ? a.recall[area * m_count + m] : a.ap[area * m_count + m];
      for (size_t t = 0; t < kThresholds; ++t)
        if (threshold < 0 || t == static_cast<size_t>(threshold)) values.push_back(row[t]);
    }
    return mean_of(values);
  };
  const size_t last = m_count - 1;
  s.stats = {collect(false, 0, last, -1), collect(false, 0, last, 0), collect(false, 0, last, 5)};
  for (size_t a = 1; a < kAreas; ++a) s.stats.push_back(collect(false, a, last, -1));
  for (size_t m = 0; m < m_count; ++m) s.stats.push_back(collect(true, 0, m, -1));
  for (size_t a = 1; a < kAreas; ++a) s.stats.push_back(collect(true, a, last, -1));
  std::vector<double> v07, v10;
  for (const ClassScores& c : s.classes) v07.push_back(c.voc2007), v10.push_back(c.voc2010);
  s.voc2007 = mean_of(v07);
  s.voc2010 = mean_of(v10);
  int64_t total_cut = std::accumulate(cut.begin(), cut.end(), int64_t{0});
  if (total_cut)
    s.warnings.push_back(std::to_string(total_cut) + " detections are beyond " + std::to_string(options.max_dets.back()) +
                         " per image and class and are not scored; raise --max-detections");
  if (options.follows_slides)
    s.warnings.push_back("slides in tiles: AP is at " + std::to_string(options.max_dets.back()) +
                         " detections per image and class, which is all of them");
  else if (options.max_dets.back() != 100)
    s.warnings.push_back("AP is at " + std::to_string(options.max_dets.back()) +
                         " detections per image and class (pycocotools prints -1 there)");
  return s;
}

}  // namespace cytodet::eval
