#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/settings.h"
#include "eval/classifier_scores.h"
#include "eval/top_k.h"

namespace cytodet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(InTopK, TiesAreHitsAsInTensorFlowAndMissesInTheStrictRank) {
  const std::vector<float> tied{.1f, .3f, .3f, .2f};
  EXPECT_TRUE(in_top_k(tied, 2, 1, Ties::hit));
  EXPECT_TRUE(in_top_k(tied, 1, 1, Ties::hit));
  EXPECT_FALSE(in_top_k(tied, 2, 1, Ties::miss));
  EXPECT_FALSE(in_top_k(tied, 1, 1, Ties::miss));
  EXPECT_TRUE(in_top_k(tied, 2, 2, Ties::miss));
  EXPECT_FALSE(in_top_k(tied, 3, 2, Ties::hit));
  EXPECT_TRUE(in_top_k(tied, 3, 3, Ties::miss));
}

TEST(InTopK, LabelsOutsideAndScoresThatAreNotFiniteAreMisses) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> scores{inf, nan, 1, 0};
  EXPECT_FALSE(in_top_k(scores, -1, 5, Ties::hit));
  EXPECT_FALSE(in_top_k(scores, 4, 5, Ties::hit));
  EXPECT_FALSE(in_top_k(scores, 0, 5, Ties::hit));
  EXPECT_FALSE(in_top_k(scores, 1, 5, Ties::hit));
  EXPECT_TRUE(in_top_k(scores, 2, 2, Ties::hit));
}

TEST(TopK, BestFirstEqualOnesInTheirOrderWhatIsNoNumberLast) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(top_k(std::vector<float>{.1f, .3f, nan, .3f, .2f}, 3), ElementsAre(1, 3, 4));
  EXPECT_THAT(top_k(std::vector<float>{nan, 1, nan}, 9), ElementsAre(1, 0, 2));
}

ClassificationScores four_images() {
  ClassificationScores s({"red", "white", "other"});
  s.add(std::vector<float>{.8f, .1f, .1f}, 0);
  s.add(std::vector<float>{.1f, .8f, .1f}, 0);
  s.add(std::vector<float>{.1f, .8f, .1f}, 1);
  s.add(std::vector<float>{.1f, .45f, .45f}, 2);  // a tie: the first of the best is predicted
  return s;
}

TEST(ClassificationScores, CountPerClassAndPerPair) {
  const ClassificationScores s = four_images();
  EXPECT_EQ(s.images(), 4);
  EXPECT_DOUBLE_EQ(s.shares().top1, 0.75);
  EXPECT_DOUBLE_EQ(s.shares().strict_top1, 0.5);
  EXPECT_DOUBLE_EQ(s.shares().top5, 1);
  EXPECT_DOUBLE_EQ(s.of_classes()[0].recall().value(), 0.5);
  EXPECT_DOUBLE_EQ(s.of_classes()[1].precision().value(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(s.of_classes()[2].recall().value(), 0);
  EXPECT_EQ(s.pairs().at({0, 1}), 1);
  EXPECT_FALSE(s.pairs().contains({1, 0}));
}

TEST(ClassificationScores, TablesShowWhichClassIsTakenForWhich) {
  const ClassificationScores s = four_images();
  EXPECT_EQ(confusion_text(s),
            "label   red white other\nred       1     1     0\nwhite     0     1     0\nother     0     1     0\n");
  EXPECT_EQ(confusion_text(s, 2),
            "images  label -> predicted, the most frequent\n     1  red -> white\n     1  other -> white\n");
  EXPECT_THAT(class_table(s), HasSubstr("white       1  1.0000     0.3333  0.5000\n"));
  const Json j = to_json(s);
  EXPECT_EQ(j["images"], 4);
  EXPECT_EQ(j["confusion"].size(), 4u);
  EXPECT_EQ(j["confusion"][1], (Json{{"label", "red"}, {"predicted", "white"}, {"images", 1}}));
}

// An image whose label is no class, or whose scores are no numbers, is a miss of the shares.
TEST(ClassificationScores, WhatHasNoPredictionIsAMiss) {
  ClassificationScores s({"red", "white"});
  s.add(std::vector<float>{.9f, .1f}, 0);
  s.add_miss(1);
  s.add_miss(std::nullopt);
  s.add_miss(std::nullopt);
  EXPECT_EQ(s.images(), 4);
  EXPECT_EQ(s.misses_without_prediction(), 3);
  EXPECT_EQ(s.shares().top1, 0.25);
  EXPECT_EQ(s.shares().strict_top5, 0.25);
  EXPECT_EQ(s.of_classes()[1].images, 1);
  EXPECT_EQ(to_json(s)["misses_without_prediction"], 3);
}

TEST(ClassificationScores, SharesOfNothingAreNotDefined) {
  ClassificationScores s({"red", "white", "other"});
  s.add(std::vector<float>{.1f, .8f, .1f}, 0);
  EXPECT_EQ(class_table(s),
            "class  images  recall  precision      F1\n"
            "red         1  0.0000          -  0.0000\n"
            "white       0       -     0.0000  0.0000\n");
  const Json classes = to_json(s)["classes"];
  EXPECT_EQ(classes[0]["recall"], 0.0);
  EXPECT_TRUE(classes[0]["precision"].is_null());
  EXPECT_TRUE(classes[1]["recall"].is_null());
}

}  // namespace
}  // namespace cytodet
