// Sets of boxes that make careless merging slow, wrong or fall over.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/cpu_clock.h"
#include "tests/tiling/samples.h"
#include "tiling/merge/merge.h"

namespace cytodet {
namespace {

TileDetection scored(Box box, float score, int category = 0) { return {{box, category, score}, 0, false}; }

MergeSettings settings(const char* method, double limit = 0.5) {
  MergeSettings s;
  s.method = merge_method_named(method);
  s.iou = limit;
  return s;
}

// All of it well under a second on an idle core; all against all would take minutes.
class Clock {
 public:
  ~Clock() { EXPECT_LT(clock_.seconds(), 20.0); }

 private:
  CpuClock clock_;
};

TEST(MergeHardCases, IdenticalBoxesAreOne) {
  Clock clock;
  const std::vector<TileDetection> all(50000, scored({10, 10, 50, 40}, 0.5f));
  for (const MergeMethodEntry& m : merge_methods()) {
    if (std::string(m.name) == "soft_nms") continue;  // lowers them one after the other, below
    const Detections merged = merge(all, settings(m.name));
    ASSERT_EQ(merged.size(), 1u) << m.name;
    EXPECT_NEAR(merged[0].box.x1, 50, 1e-6) << m.name;
    EXPECT_FLOAT_EQ(merged[0].score, 0.5f);
  }
  // exp(-1 / 0.5) = 0.135: the second is at 0.068, the third below 0.05.
  EXPECT_EQ(merge(all, settings("soft_nms")).size(), 2u);
}

TEST(MergeHardCases, ALineOfAMillionBoxes) {
  Clock clock;
  std::vector<TileDetection> all;
  for (int i = 0; i < 1000000; ++i) all.push_back(scored({i * 30.0, 5, i * 30.0 + 20, 25}, 0.9f));
  EXPECT_EQ(merge(all, settings("nms")).size(), 1000000u);
  EXPECT_EQ(merge(all, settings("owner")).size(), 1000000u);
  for (int i = 1; i < 1000000; i += 2) all[static_cast<size_t>(i)].detection.box = all[static_cast<size_t>(i) - 1].detection.box;
  EXPECT_EQ(merge(all, settings("greedy_nmm")).size(), 500000u);
}

TEST(MergeHardCases, AChainGrowsFromEndToEnd) {
  Clock clock;
  std::vector<TileDetection> all;  // each overlaps the next two
  for (int i = 0; i < 30000; ++i) all.push_back(scored({i * 10.0, 0, i * 10.0 + 25, 20}, 1.0f - static_cast<float>(i) * 1e-5f));
  MergeSettings s = settings("nmm", 0.3);
  s.metric = MergeMetric::ios;
  const Detections chain = merge(all, s);
  ASSERT_EQ(chain.size(), 1u);
  EXPECT_EQ(chain[0].box, (Box{0, 0, 29999 * 10.0 + 25, 20}));
  s.method = MergeMethod::greedy_nmm;
  EXPECT_GT(merge(all, s).size(), 9000u);
}

TEST(MergeHardCases, NestedBoxes) {
  std::vector<TileDetection> all;
  for (int i = 0; i < 200; ++i) {
    const double half = 5000 / (1 + i * 0.5);
    all.push_back(scored({5000 - half, 5000 - half, 5000 + half, 5000 + half}, 1.0f - static_cast<float>(i) * 0.004f));
  }
  MergeSettings s = settings("nms");
  EXPECT_GT(merge(all, s).size(), 8u) << "a small box in a large one is another cell";
  s.metric = MergeMetric::ios;
  EXPECT_EQ(merge(all, s).size(), 1u) << "a small box in a large one is part of it";
}

TEST(MergeHardCases, HugeBoxesAmongTinyOnes) {
  Clock clock;
  std::mt19937 random(5);
  std::uniform_real_distribution<double> at(0, 50000), side(4, 8), much(0, 100);
  std::uniform_real_distribution<float> score(0, 1);
  std::vector<TileDetection> all;
  for (int i = 0; i < 40000; ++i) {
    const double x = at(random), y = at(random), w = side(random);
    all.push_back(scored({x, y, x + w, y + w}, score(random)));
    const double shift = much(random);
    all.push_back(scored({shift, shift, 50000 + shift, 50000 + shift}, score(random)));
  }
  for (const char* method : {"nms", "greedy_nmm", "nmm", "owner", "wbf"}) {
    const size_t n = merge(all, settings(method)).size();
    EXPECT_GT(n, 35000u) << method;
    EXPECT_LE(n, 40001u) << method;
  }
  MergeSettings s = settings("nmm");
  s.metric = MergeMetric::ios;
  EXPECT_LT(merge(all, s).size(), 200u) << "only what lies across the border of the huge ones";
}

TEST(MergeHardCases, BarsThatCross) {
  Clock clock;
  std::vector<TileDetection> all;
  for (int i = 0; i < 20000; ++i) {
    all.push_back(scored({i * 2.0, 0, i * 2.0 + 1, 40000}, 0.9f));
    all.push_back(scored({0, i * 2.0, 40000, i * 2.0 + 1}, 0.8f));
  }
  for (const char* method : {"nms", "greedy_nmm", "nmm"}) EXPECT_EQ(merge(all, settings(method)).size(), all.size()) << method;
}

TEST(MergeHardCases, FarAwayEmptyAndEnormousBoxes) {
  for (const MergeMethodEntry& m : merge_methods()) {
    const Detections merged =
        merge({scored({-1e300, -1e300, 1e300, 1e300}, 0.9f), scored({1e300, 0, 1.5e300, 9}, 0.8f), scored({5, 5, 5, 5}, 0.7f),
               scored({5, 5, 5, 5}, 0.65f), scored({9e15, 9e15, 9e15 + 8, 9e15 + 8}, 0.6f),
               scored({-4e9, -4e9, -4e9 + 1, -4e9 + 1}, 0.5f), scored({1e-300, 0, 2e-300, 1e-300}, 0.4f)},
              settings(m.name));
    EXPECT_EQ(merged.size(), 7u) << m.name;
  }
}

TEST(MergeHardCases, WhatIsNotFiniteIsRefused) {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  for (const MergeMethodEntry& m : merge_methods())
    for (const TileDetection& bad : {scored({nan, 0, 1, 1}, 0.8f), scored({0, 0, inf, 1}, 0.8f), scored({0, -inf, 1, 1}, 0.8f),
                                     scored({0, 0, 1, 1}, std::numeric_limits<float>::quiet_NaN())})
      EXPECT_NE(error_of([&] {
                  merge({scored({0, 0, 1, 1}, 0.9f), bad}, settings(m.name));
                }).find("detection 1"),
                std::string::npos)
          << m.name;
}

TEST(MergeHardCases, ClassesMergeOnlyWhenAsked) {
  const std::vector<TileDetection> all = {scored({0, 0, 10, 10}, 0.9f, 2), scored({0, 0, 10, 11}, 0.8f, 1),
                                          scored({0, 0, 10, 12}, 0.7f, 2)};
  for (const MergeMethodEntry& m : merge_methods()) {
    if (std::string(m.name) == "soft_nms") continue;
    MergeSettings s = settings(m.name);
    EXPECT_EQ(merge(all, s).size(), 2u) << m.name;
    s.class_agnostic = true;
    const Detections one = merge(all, s);
    ASSERT_EQ(one.size(), 1u) << m.name;
    EXPECT_EQ(one[0].category, 2);
    EXPECT_FLOAT_EQ(one[0].score, 0.9f);
  }
}

}  // namespace
}  // namespace cytodet
