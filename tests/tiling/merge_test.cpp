#include "tiling/merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
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
  s.method = method;
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

TEST(Merge, EveryRowEqualsItsDefinition) {
  for (const MergeMethod& method : merge_methods()) {
    SCOPED_TRACE(method.name);
    for (unsigned seed = 0; seed < 6; ++seed) {
      const std::vector<TileDetection> all = random_boxes(700, seed < 3 ? 300 : 2000, seed);
      MergeSettings s;
      s.method = method.name;
      const std::string name = method.name;
      ASSERT_TRUE(name == "nms" || name == "soft_nms" || name == "owner") << "a new row needs its definition here";
      const Detections expected = name == "nms"     ? plain_nms(all, s.iou)
                                  : name == "owner" ? plain_owner(all, s)
                                                    : plain_soft_nms(all, s);
      const Detections got = merge(all, s);
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_NEAR(got[i].score, expected[i].score, 1e-6);
        EXPECT_TRUE(name == "soft_nms" || got[i].box == expected[i].box);
      }
    }
  }
}

TEST(Merge, OrderOfTilesDoesNotMatter) {
  std::vector<TileDetection> all = random_boxes(2000, 600, 7);
  std::mt19937 random(3);
  for (const MergeMethod& method : merge_methods()) {
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
  for (const MergeMethod& method : merge_methods()) {
    EXPECT_TRUE(merged(method.name, {}).empty());
    EXPECT_EQ(merged(method.name, {found({1, 2, 3, 4}, 0.5f)}).size(), 1u);
  }
}

TEST(Merge, EndlessAndEmptyBoxesAreHarmless) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  for (const MergeMethod& method : merge_methods())
    EXPECT_GE(
        merged(method.name, {found({-inf, -inf, inf, inf}, 0.9f), found({nan, 0, 1, 1}, 0.8f),
                             found({1e300, 0, 1.5e300, 9}, 0.7f), found({5, 5, 5, 5}, 0.6f), found({0, 0, 9, 9}, 0.5f, 1, true)})
            .size(),
        1u);
}

TEST(Merge, UnknownMethodAndImpossibleValues) {
  EXPECT_NE(error_of([] { merged("nsm", {}); }).find("did you mean nms"), std::string::npos);
  MergeSettings s;
  s.iou = 1.5;
  EXPECT_NE(error_of([&] { merge({}, s); }).find("merge.iou"), std::string::npos);
}

// Raw detections of the shipped model's tiles (TensorFlow, 640 px with 160 shared) against the slide's truth.
TEST(Merge, ScoresOnTheShippedSlide) {
  std::istringstream in(read_file(data_folder() / "tiling/merge/blood-mosaic-640-160.txt"));
  std::vector<TileDetection> all;
  TileDetection d;
  while (in >> d.tile >> d.detection.category >> d.detection.score >> d.detection.box.x0 >> d.detection.box.y0 >>
         d.detection.box.x1 >> d.detection.box.y1 >> d.cut)
    all.push_back(d);
  ASSERT_EQ(all.size(), 6193u);
  const Truth truth = read_truth(data_folder() / "slides/blood-mosaic.json");
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

TEST(Merge, CrowdsTakeMilliseconds) {
  const std::vector<TileDetection> all = random_boxes(33337, 3000, 1);
  const auto start = std::chrono::steady_clock::now();
  const Detections kept = merged("owner", all);
  EXPECT_GT(kept.size(), 1000u);
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 5.0)
      << "a comparison of all with all would take longer";
}

}  // namespace
}  // namespace cytodet
