#include "tiling/merge/merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <sstream>

#include "eval/coco.h"
#include "tests/tiling/samples.h"

namespace cytodet {
namespace {

TileDetection found(Box box, float score, int tile = 0, bool cut = false, int category = 0) {
  return {{box, category, score}, tile, cut};
}

Detections merged(const char* method, std::vector<TileDetection> all) {
  MergeSettings s;
  s.method = merge_method_named(method);
  return merge(std::move(all), s);
}

std::vector<TileDetection> random_boxes(int count, double field, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> at(0, field), side(5, 60), score(0.05, 1);
  std::vector<TileDetection> all;
  for (int i = 0; i < count; ++i) {
    const double x = at(random), y = at(random);
    all.push_back(found({x, y, x + side(random), y + side(random)}, static_cast<float>(std::round(score(random) * 50) / 50),
                        i % 9, i % 5 == 0, i % 3));
  }
  return all;
}

// The definitions, box against box.
Detections plain_nms(std::vector<TileDetection> all, double limit) {
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return ranks_before(a.detection, b.detection); });
  Detections kept;
  for (const TileDetection& d : all)
    if (std::none_of(kept.begin(), kept.end(), [&](const Detection& k) {
          return k.category == d.detection.category && iou(k.box, d.detection.box) > limit;
        }))
      kept.push_back(d.detection);
  return kept;
}

Detections plain_soft_nms(std::vector<TileDetection> all, const MergeSettings& s) {
  std::vector<double> score;
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return ranks_before(a.detection, b.detection); });
  for (const auto& d : all) score.push_back(d.detection.score);
  Detections kept;
  std::vector<bool> gone(all.size(), false);
  for (size_t step = 0; step < all.size(); ++step) {
    size_t best = all.size();
    for (size_t i = 0; i < all.size(); ++i)
      if (!gone[i] && (best == all.size() || score[i] > score[best])) best = i;
    gone[best] = true;
    if (score[best] < s.soft_score) continue;
    kept.push_back(all[best].detection);
    kept.back().score = static_cast<float>(score[best]);
    for (size_t i = 0; i < all.size(); ++i)
      if (!gone[i] && all[i].detection.category == all[best].detection.category) {
        const double u = iou(all[i].detection.box, all[best].detection.box);
        score[i] *= std::exp(-u * u / s.soft_sigma);
      }
  }
  std::sort(kept.begin(), kept.end(), ranks_before);
  return kept;
}

Detections plain_owner(const std::vector<TileDetection>& all, const MergeSettings& s) {
  std::vector<TileDetection> rest;
  for (const TileDetection& d : all) {
    const Box& box = d.detection.box;
    const bool owned = d.cut && std::any_of(all.begin(), all.end(), [&](const TileDetection& o) {
                         return !o.cut && o.tile != d.tile && o.detection.category == d.detection.category &&
                                intersection(o.detection.box, box) > s.cover * box.area();
                       });
    if (!owned) rest.push_back(d);
  }
  return plain_nms(rest, s.iou);
}

// All against all: the best free box founds a group; it (and with chains, each member in its turn) takes in the free boxes that
// it overlaps; the group's box grows over those it still overlaps.
Detections plain_nmm(std::vector<TileDetection> all, double limit, bool chains) {
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return ranks_before(a.detection, b.detection); });
  std::vector<int> group(all.size(), -1);
  Detections groups;
  for (size_t i = 0; i < all.size(); ++i) {
    if (group[i] >= 0 && !chains) continue;
    if (group[i] < 0) {
      group[i] = static_cast<int>(groups.size());
      groups.push_back(all[i].detection);
    }
    Detection& grown = groups[static_cast<size_t>(group[i])];
    for (size_t j = 0; j < all.size(); ++j) {
      const Box& b = all[j].detection.box;
      if (group[j] >= 0 || all[j].detection.category != grown.category || iou(all[i].detection.box, b) <= limit) continue;
      group[j] = group[i];
      if (iou(grown.box, b) > limit)
        grown.box = {std::min(grown.box.x0, b.x0), std::min(grown.box.y0, b.y0), std::max(grown.box.x1, b.x1),
                     std::max(grown.box.y1, b.y1)};
    }
  }
  return groups;
}

Detections plain_wbf(std::vector<TileDetection> all, double limit) {
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return ranks_before(a.detection, b.detection); });
  std::vector<Detections> members;
  Detections fused;
  for (const TileDetection& d : all) {
    size_t best = fused.size();
    double most = limit;
    for (size_t i = 0; i < fused.size(); ++i)
      if (const double o = iou(fused[i].box, d.detection.box); fused[i].category == d.detection.category && o > most) {
        most = o;
        best = i;
      }
    if (best == fused.size()) {
      fused.push_back(d.detection);
      members.emplace_back();
    }
    members[best].push_back(d.detection);
    if (members[best].size() == 1) continue;
    Box sum;
    double scores = 0;
    for (const Detection& m : members[best]) {
      const double s = static_cast<double>(m.score);
      sum = {sum.x0 + s * m.box.x0, sum.y0 + s * m.box.y0, sum.x1 + s * m.box.x1, sum.y1 + s * m.box.y1};
      scores += s;
    }
    fused[best].box = {sum.x0 / scores, sum.y0 / scores, sum.x1 / scores, sum.y1 / scores};
  }
  return fused;
}

Detections by_definition(const std::string& method, const std::vector<TileDetection>& all, const MergeSettings& s) {
  Detections merged = method == "nms"          ? plain_nms(all, s.iou)
                      : method == "soft_nms"   ? plain_soft_nms(all, s)
                      : method == "greedy_nmm" ? plain_nmm(all, s.iou, false)
                      : method == "nmm"        ? plain_nmm(all, s.iou, true)
                      : method == "wbf"        ? plain_wbf(all, s.iou)
                      : method == "owner"      ? plain_owner(all, s)
                                               : Detections();
  EXPECT_FALSE(merged.empty()) << "a new entry needs its definition here: " << method;
  std::sort(merged.begin(), merged.end(), ranks_before);
  return merged;
}

TEST(Merge, EveryEntryEqualsItsDefinition) {
  for (const MergeMethodEntry& method : merge_methods()) {
    SCOPED_TRACE(method.name);
    for (unsigned seed = 0; seed < 6; ++seed) {
      const std::vector<TileDetection> all = random_boxes(700, seed < 3 ? 300 : 2000, seed);
      MergeSettings s;
      s.method = method.method;
      s.iou = seed % 2 ? 0.5 : 0.2;
      const Detections expected = by_definition(method.name, all, s);
      const Detections got = merge(all, s);
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_NEAR(got[i].score, expected[i].score, 1e-6);
        EXPECT_TRUE(s.method == MergeMethod::soft_nms || got[i].box == expected[i].box);
      }
    }
  }
}

TEST(Merge, OrderOfTilesDoesNotMatter) {
  std::vector<TileDetection> all = random_boxes(2000, 600, 7);
  std::mt19937 random(3);
  for (const MergeMethodEntry& method : merge_methods()) {
    const Detections first = merged(method.name, all);
    EXPECT_TRUE(std::is_sorted(first.begin(), first.end(), ranks_before)) << method.name;
    for (int i = 0; i < 4; ++i) {
      std::shuffle(all.begin(), all.end(), random);
      EXPECT_EQ(merged(method.name, all), first) << method.name;
    }
  }
}

TEST(Merge, ACellCutByATileEdgeIsFoundOnce) {
  // Tile 0 ends at x = 640 and sees half of the cell with more confidence than tile 1, which sees it whole.
  const std::vector<TileDetection> all = {found({600, 100, 639, 180}, 0.9f, 0, true),
                                          found({600, 100, 680, 180}, 0.8f, 1, false)};
  const Detections owner = merged("owner", all);
  ASSERT_EQ(owner.size(), 1u);
  EXPECT_EQ(owner[0].box, (Box{600, 100, 680, 180}));
  EXPECT_EQ(merged("nms", all).size(), 2u) << "plain suppression keeps both: they overlap by less than half";
}

TEST(Merge, ACutCellThatNobodySeesWholeStays) {
  EXPECT_EQ(merged("owner", {found({600, 100, 639, 180}, 0.9f, 0, true)}).size(), 1u);
  EXPECT_EQ(merged("owner", {found({600, 100, 639, 180}, 0.9f, 0, true), found({600, 100, 680, 180}, 0.8f, 1, false, 1)}).size(),
            2u)
      << "another class owns nothing";
}

TEST(Merge, EmptyAndSingle) {
  for (const MergeMethodEntry& method : merge_methods()) {
    EXPECT_TRUE(merged(method.name, {}).empty());
    EXPECT_EQ(merged(method.name, {found({1, 2, 3, 4}, 0.5f)}).size(), 1u);
  }
}

TEST(Merge, UnknownMethodAndImpossibleValues) {
  EXPECT_NE(error_of([] { merged("sotf_nms", {}); }).find("did you mean soft_nms"), std::string::npos);
  auto refused = [](auto change, const char* key) {
    MergeSettings s;
    EXPECT_NE(error_of([&] { change(s), merge({}, s); }).find(key), std::string::npos) << key;
  };
  refused([](MergeSettings& s) { s.iou = 1.5; }, "merge.iou");
  refused([](MergeSettings& s) { s.iou = std::nan(""); }, "merge.iou");
  refused([](MergeSettings& s) { s.metric = merge_metric_named("giou"); }, "merge.metric");
  refused([](MergeSettings& s) { s.method = MergeMethod::wbf, s.metric = MergeMetric::ios; }, "wbf is defined by iou");
  refused([](MergeSettings& s) { s.wbf_score = wbf_score_named("mean"); }, "merge.wbf_score");
  refused([](MergeSettings& s) { s.wbf_models = 0; }, "merge.wbf_models");
  refused([](MergeSettings& s) { s.cover = -1; }, "merge.cover");
}

// Raw detections of the shipped model's tiles (TensorFlow, 640 px with 160 shared) against the slide's ground truth.
TEST(Merge, ScoresOnTheShippedSlide) {
  std::istringstream in(read_file(data_folder() / "tiling/merge/blood-mosaic-640-160.txt"));
  std::vector<TileDetection> all;
  TileDetection d;
  while (in >> d.tile >> d.detection.category >> d.detection.score >> d.detection.box.x0 >> d.detection.box.y0 >>
         d.detection.box.x1 >> d.detection.box.y1 >> d.cut)
    all.push_back(d);
  ASSERT_EQ(all.size(), 6193u);
  const GroundTruth truth = read_ground_truth(data_folder() / "slides/blood-mosaic.json");
  auto stats = [&](const char* method) {
    DetectionSet set;
    for (const Detection& m : merged(method, all)) {
      set.image.push_back(0);
      set.category.push_back(m.category);
      set.boxes.insert(set.boxes.end(), {m.box.x0, m.box.y0, m.box.width(), m.box.height()});
      set.scores.push_back(static_cast<double>(m.score));
    }
    ScoreOptions options;
    options.max_dets = {1, 10, 5000};
    return score(truth, set, options).stats;
  };
  const std::vector<double> owner = stats("owner"), nms = stats("nms");
  EXPECT_NEAR(owner[0], 0.6069, 0.001);
  EXPECT_NEAR(owner[1], 0.9142, 0.001);
  EXPECT_NEAR(nms[0], 0.5904, 0.001);
  EXPECT_NEAR(nms[1], 0.9078, 0.001);
}

}  // namespace
}  // namespace cytodet
