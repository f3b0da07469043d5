#include "eval/coco.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "core/parallel.h"

namespace cytodet::eval {
namespace {

constexpr int kThresholds = 10, kRecalls = 101, kAreas = 4;
constexpr double kAreaLow[kAreas] = {0, 0, 1024, 9216}, kAreaHigh[kAreas] = {1e10, 1024, 9216, 1e10};

// numpy.linspace's own arithmetic, so that comparisons fall the same way.
std::array<double, kThresholds> iou_thresholds() {
  std::array<double, kThresholds> t;
  double step = (0.95 - 0.5) / 9;
  for (int i = 0; i < kThresholds; ++i) t[static_cast<size_t>(i)] = i * step + 0.5;
  t[9] = 0.95;
  return t;
}
std::array<double, kRecalls> recall_thresholds() {
  std::array<double, kRecalls> r;
  for (int i = 0; i < kRecalls; ++i) r[static_cast<size_t>(i)] = i * 0.01;
  r[100] = 1.0;
  return r;
}

// Annotations and detections of one class, grouped by image.
struct Groups {
  std::vector<int32_t> order;  // indices, images ascending
  std::vector<int32_t> begin;  // per image, size images + 1
};

template <class Pick>
Groups group(size_t n, size_t images, const std::vector<int32_t>& image, Pick pick) {
  Groups g;
  g.begin.assign(images + 1, 0);
  for (size_t i = 0; i < n; ++i)
    if (pick(i)) ++g.begin[static_cast<size_t>(image[i]) + 1];
  std::partial_sum(g.begin.begin(), g.begin.end(), g.begin.begin());
  g.order.resize(static_cast<size_t>(g.begin.back()));
  std::vector<int32_t> at(g.begin.begin(), g.begin.end() - 1);
  for (size_t i = 0; i < n; ++i)
    if (pick(i)) g.order[static_cast<size_t>(at[static_cast<size_t>(image[i])]++)] = static_cast<int32_t>(i);
  return g;
}

double box_iou(const double* d, const double* g, bool crowd) {
  double w = std::min(d[0] + d[2], g[0] + g[2]) - std::max(d[0], g[0]);
  if (w <= 0) return 0;
  double h = std::min(d[1] + d[3], g[1] + g[3]) - std::max(d[1], g[1]);
  if (h <= 0) return 0;
  double i = w * h, da = d[2] * d[3];
  return i / (crowd ? da : da + g[2] * g[3] - i);
}

// State of one detection for one area range: bit t: matched / ignored at threshold t.
struct DetectionMatches {
  double score;
  int32_t rank;  // among its image's detections
  std::array<uint16_t, kAreas> matched{}, ignored{};
};

struct ClassWork {
  std::vector<DetectionMatches> outcomes;  // images ascending, score falling within
  std::array<int64_t, kAreas> truths{};
  int64_t cut = 0;  // detections beyond max_dets
};

struct Accumulated {
  // [area][max_dets index][threshold]
  std::vector<std::array<double, kThresholds>> recall, ap;  // -1 without ground truth
  std::array<std::array<double, kRecalls>, kThresholds> precision;
};

void match_image(const GroundTruth& truth, const DetectionSet& dets, const int32_t* gt, int n_gt, const int32_t* dt, int n_dt,
                 const ScoreOptions& options, const std::array<double, kThresholds>& thresholds, ClassWork& work,
                 std::vector<double>& ious) {
  ious.resize(static_cast<size_t>(n_dt) * static_cast<size_t>(n_gt));
  for (int d = 0; d < n_dt; ++d)
    for (int g = 0; g < n_gt; ++g)
      ious[static_cast<size_t>(d) * static_cast<size_t>(n_gt) + static_cast<size_t>(g)] =
          box_iou(&dets.boxes[static_cast<size_t>(dt[d]) * 4], &truth.boxes[static_cast<size_t>(gt[g]) * 4],
                  truth.crowd[static_cast<size_t>(gt[g])]);
  size_t first = work.outcomes.size();
  for (int d = 0; d < n_dt; ++d) work.outcomes.push_back({dets.scores[static_cast<size_t>(dt[d])], d, {}, {}});
  std::vector<int> order(static_cast<size_t>(n_gt));
  std::vector<char> ignored(static_cast<size_t>(n_gt)), taken(static_cast<size_t>(n_gt));
  for (int a = 0; a < kAreas; ++a) {
    for (int g = 0; g < n_gt; ++g) {
      size_t k = static_cast<size_t>(gt[g]);
      ignored[static_cast<size_t>(g)] = truth.crowd[k] || truth.areas[k] < kAreaLow[a] || truth.areas[k] > kAreaHigh[a];
      work.truths[static_cast<size_t>(a)] += !ignored[static_cast<size_t>(g)];
    }
    std::iota(order.begin(), order.end(), 0);
    std::stable_partition(order.begin(), order.end(), [&](int g) { return !ignored[static_cast<size_t>(g)]; });
    for (int t = 0; t < kThresholds; ++t) {
      std::fill(taken.begin(), taken.end(), 0);
      for (int d = 0; d < n_dt; ++d) {
        double best = std::min(thresholds[static_cast<size_t>(t)], 1 - 1e-10);
        int match = -1;
        for (int g : order) {
          size_t k = static_cast<size_t>(g);
          if (taken[k] && !truth.crowd[static_cast<size_t>(gt[g])]) continue;
          if (match >= 0 && !ignored[static_cast<size_t>(match)] && ignored[k]) break;
          double o = ious[static_cast<size_t>(d) * static_cast<size_t>(n_gt) + static_cast<size_t>(g)];
          if (o < best) continue;
          best = o;
          match = g;
        }
        DetectionMatches& out = work.outcomes[first + static_cast<size_t>(d)];
        bool matched = false, ignore = false;
        if (match >= 0) {
          taken[static_cast<size_t>(match)] = 1;
          ignore = ignored[static_cast<size_t>(match)];
          matched = !(options.pycocotools_id0 && truth.ids[static_cast<size_t>(gt[match])] == 0);
        }
        if (!matched) {
          const double* b = &dets.boxes[static_cast<size_t>(dt[d]) * 4];
          double area = b[2] * b[3];
          ignore = ignore || area < kAreaLow[a] || area > kAreaHigh[a];
        }
        out.matched[static_cast<size_t>(a)] |= static_cast<uint16_t>(matched << t);
        out.ignored[static_cast<size_t>(a)] |= static_cast<uint16_t>(ignore << t);
      }
    }
  }
}

ClassWork match_class(const GroundTruth& truth, const DetectionSet& dets, int category, const ScoreOptions& options,
                      const std::array<double, kThresholds>& thresholds) {
  auto of_class = [&](const std::vector<int32_t>& c) {
    return [&c, category](size_t i) { return category < 0 || c[i] == category; };
  };
  Groups gt = group(truth.size(), truth.images.size(), truth.image, of_class(truth.category));
  Groups dt = group(dets.size(), truth.images.size(), dets.image, of_class(dets.category));
  // Pooled, pycocotools lists an image's boxes class by class: equal scores fall in that order.
  if (category < 0)
    for (auto [groups, of] : {std::pair(&gt, &truth.category), std::pair(&dt, &dets.category)})
      for (size_t i = 0; i + 1 < groups->begin.size(); ++i)
        std::stable_sort(groups->order.begin() + groups->begin[i], groups->order.begin() + groups->begin[i + 1],
                         [of](int32_t a, int32_t b) { return (*of)[static_cast<size_t>(a)] < (*of)[static_cast<size_t>(b)]; });
  ClassWork work;
  work.outcomes.reserve(dt.order.size());
  std::vector<double> ious;
  for (size_t i = 0; i < truth.images.size(); ++i) {
    int32_t* d = dt.order.data() + dt.begin[i];
    int n_dt = dt.begin[i + 1] - dt.begin[i], n_gt = gt.begin[i + 1] - gt.begin[i];
    if (n_dt == 0 && n_gt == 0) continue;
    std::stable_sort(d, d + n_dt, [&](int32_t a, int32_t b) {
      return dets.scores[static_cast<size_t>(a)] > dets.scores[static_cast<size_t>(b)];
    });
    int kept = std::min(n_dt, options.max_dets.back());
    work.cut += n_dt - kept;
    match_image(truth, dets, gt.order.data() + gt.begin[i], n_gt, d, kept, options, thresholds, work, ious);
  }
  return work;
}

Accumulated accumulate(const ClassWork& work, const std::vector<int>& max_dets) {
  static const std::array<double, kRecalls> recalls = recall_thresholds();
  const size_t m_count = max_dets.size();
  Accumulated acc;
  std::array<double, kThresholds> none;
  none.fill(-1);
  acc.recall.assign(kAreas * m_count, none);
  acc.ap.assign(kAreas * m_count, none);
  for (auto& row : acc.precision) row.fill(-1);
  std::vector<uint32_t> all(work.outcomes.size());
  std::iota(all.begin(), all.end(), 0u);
  std::stable_sort(all.begin(), all.end(),
                   [&](uint32_t a, uint32_t b) { return work.outcomes[a].score > work.outcomes[b].score; });
  std::vector<double> rc, pr;
  for (size_t m = 0; m < m_count; ++m)
    for (size_t a = 0; a < kAreas; ++a) {
      // Only the figures that are reported: every max_dets for all areas, the last one for each area.
      if (a != 0 && m + 1 != m_count) continue;
      if (work.truths[a] == 0) continue;
      for (size_t t = 0; t < kThresholds; ++t) {
        rc.clear();
        pr.clear();
        double tp = 0, fp = 0;
        const double truths = static_cast<double>(work.truths[a]);
        for (uint32_t i : all) {
          const DetectionMatches& o = work.outcomes[i];
          if (o.rank >= max_dets[m]) continue;
          bool ignored = o.ignored[a] >> t & 1, matched = o.matched[a] >> t & 1;
          tp += matched && !ignored;
          fp += !matched && !ignored;
          rc.push_back(tp / truths);
          pr.push_back(tp / (fp + tp + std::numeric_limits<double>::epsilon()));
        }
        acc.recall[a * m_count + m][t] = rc.empty() ? 0 : rc.back();
        if (m + 1 != m_count) continue;
        for (size_t i = pr.size(); i-- > 1;) pr[i - 1] = std::max(pr[i - 1], pr[i]);
        double total = 0;
        size_t at = 0;
        for (size_t r = 0; r < kRecalls; ++r) {
          while (at < rc.size() && rc[at] < recalls[r]) ++at;
          double p = at < pr.size() ? pr[at] : 0;
          total += p;
          if (a == 0) acc.precision[t][r] = p;
        }
        acc.ap[a * m_count + m][t] = total / kRecalls;
      }
    }
  return acc;
}

// VOC: every detection takes the ground truth box it overlaps most; a second one on the same box is false. Detections of one
// score enter together, so that precision and recall do not depend on the order of the file.
void voc(const GroundTruth& truth, const DetectionSet& dets, int category, ClassScores& out) {
  std::vector<int32_t> order;
  for (size_t i = 0; i < dets.size(); ++i)
    if (category < 0 || dets.category[i] == category) order.push_back(static_cast<int32_t>(i));
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return dets.scores[static_cast<size_t>(a)] > dets.scores[static_cast<size_t>(b)];
  });
  Groups gt = group(truth.size(), truth.images.size(), truth.image,
                    [&](size_t i) { return category < 0 || truth.category[i] == category; });
  int64_t total = 0;
  for (int32_t g : gt.order) total += !truth.crowd[static_cast<size_t>(g)];
  if (total == 0) return;
  std::vector<char> taken(truth.size(), 0);
  std::vector<double> rc, pr;
  double tp = 0, fp = 0;
  const auto count = [&](int32_t d) {
    size_t image = static_cast<size_t>(dets.image[static_cast<size_t>(d)]);
    double best = -1;
    int32_t match = -1;
    for (int32_t k = gt.begin[image]; k < gt.begin[image + 1]; ++k) {
      int32_t g = gt.order[static_cast<size_t>(k)];
      double o = box_iou(&dets.boxes[static_cast<size_t>(d) * 4], &truth.boxes[static_cast<size_t>(g) * 4], false);
      if (o > best) {
        best = o;
        match = g;
      }
    }
    if (best >= 0.5 && match >= 0) {
      if (truth.crowd[static_cast<size_t>(match)]) return;
      if (taken[static_cast<size_t>(match)])
        ++fp;
      else
        ++tp, taken[static_cast<size_t>(match)] = 1;
    } else {
      ++fp;
    }
  };
  for (size_t i = 0; i < order.size(); ++i) {
    count(order[i]);
    const bool tied =
        i + 1 < order.size() && dets.scores[static_cast<size_t>(order[i])] == dets.scores[static_cast<size_t>(order[i + 1])];
    if (tied || tp + fp == 0) continue;
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
  const std::array<double, kThresholds> thresholds = iou_thresholds();
  const int classes = options.use_categories ? static_cast<int>(truth.categories.size()) : 1;
  const size_t m_count = options.max_dets.size();
  std::vector<Accumulated> acc(static_cast<size_t>(classes));
  std::vector<int64_t> cut(static_cast<size_t>(classes), 0);
  s.classes.resize(static_cast<size_t>(classes));
  parallel_for(classes, options.threads, [&](int64_t c) {
    size_t k = static_cast<size_t>(c);
    int category = options.use_categories ? static_cast<int>(c) : -1;
    ClassWork work = match_class(truth, detections, category, options, thresholds);
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
    voc(truth, detections, category, out);
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
  if (options.max_dets.back() != 100)
    s.warnings.push_back("AP is at " + std::to_string(options.max_dets.back()) +
                         " detections per image and class (pycocotools prints -1 there)");
  return s;
}

}  // namespace cytodet::eval
