// COCO results read piece by piece, without their ground truth.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "core/error.h"
#include "core/file.h"
#include "eval/ground_truth.h"
#include "eval/results.h"
#include "tests/error_of.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;

std::vector<CocoResult> parse(std::string_view text) {
  std::vector<CocoResult> all;
  const int64_t n = parse_coco_results(text, "r.json", [&](const CocoResult& r) { all.push_back(r); });
  EXPECT_EQ(n, static_cast<int64_t>(all.size()));
  return all;
}

std::string error_of(std::string_view text) {
  return cytodet::error_of([&] { parse_coco_results(text, "r.json", [](const CocoResult&) {}); });
}

constexpr const char* kOne = R"({"image_id": 7, "category_id": 2, "bbox": [1, 2.5, 3, 4], "score": 0.5})";

TEST(ResultsReader, EqualsTheReaderThatHasTheGroundTruth) {
  const std::string base = cytodet::source_dir() + "/tests/data/eval/synthetic200_";
  const GroundTruth truth = read_ground_truth(base + "gt.json");
  const DetectionSet set = read_detections(base + "dt.json", truth);
  size_t i = 0;
  read_coco_results(base + "dt.json", [&](const CocoResult& r) {
    ASSERT_LT(i, set.size());
    EXPECT_EQ(truth.image_index(r.image_id), set.image[i]);
    EXPECT_EQ(truth.category_index(r.category_id), set.category[i]);
    EXPECT_EQ(r.box.x0, set.boxes[4 * i]);
    EXPECT_EQ(r.box.y1, set.boxes[4 * i + 1] + set.boxes[4 * i + 3]);
    EXPECT_EQ(r.score, set.scores[i++]);
  });
  EXPECT_EQ(i, set.size());
  EXPECT_GT(i, 100u);
}

TEST(ResultsReader, BlocksAreCutBetweenElementsOnly) {
  // Strings with brackets, commas and quotes; longer than several blocks.
  std::string text = "\n[ ";
  std::vector<int64_t> ids;
  for (int i = 0; i < 20000; ++i) {
    if (i) text += i % 3 ? "," : " ,\n";
    text += R"({"note":"}],[{\"\\","image_id":)" + std::to_string(i) +
            R"(,"category_id":1,"bbox":[0,0,1,1],"score":1,"more":[[],{"a":[1,2]}]})";
  }
  std::vector<CocoResult> all = parse(text + "]\n ");
  ASSERT_EQ(all.size(), 20000u);
  for (size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i].image_id, static_cast<int64_t>(i));
  EXPECT_GT(text.size(), size_t{1} << 20);
}

TEST(ResultsReader, AnEmptyListIsLegal) {
  EXPECT_TRUE(parse("[]").empty());
  EXPECT_TRUE(parse(" [ \n ] ").empty());
}

TEST(ResultsReader, ErrorsSayWhere) {
  const std::string one = kOne;
  EXPECT_EQ(error_of("[" + one + "," + one + "]"), "");
  EXPECT_THAT(error_of(""), HasSubstr("r.json: is empty"));
  EXPECT_THAT(error_of("{}"), HasSubstr("is not a list of detections"));
  EXPECT_THAT(error_of("[" + one), HasSubstr("does not end"));
  EXPECT_THAT(error_of("[" + one + ",]"), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of("[," + one + "]"), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of("[" + one + "] x"), HasSubstr("something follows the list"));
  EXPECT_THAT(error_of("[" + one + ", 4]"), HasSubstr("detections[1] is not an object"));
  EXPECT_THAT(error_of("[{\"image_id\": 1]]"), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of(R"([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3], "score": 1}])"),
              HasSubstr("detections[0].bbox must be four"));
  EXPECT_THAT(error_of(R"([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}])"),
              HasSubstr("detections[0].score is missing"));
  EXPECT_THAT(error_of(R"([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 1e10, 4], "score": 1}])"), HasSubstr("beyond 1e9"));
  EXPECT_THAT(error_of("[\"" + std::string(5 << 20, 'a') + "\"]"), HasSubstr("over 4 MiB"));
  // After a cut a comma without an element is still an error.
  std::string many = "[";
  for (int i = 0; i < 8000; ++i) many += one + ",";
  EXPECT_THAT(error_of(many + "]"), HasSubstr("not valid JSON"));
  EXPECT_EQ(error_of(many + one + "]"), "");
  EXPECT_THROW(read_coco_results("/", [](const CocoResult&) {}), Error);
  EXPECT_THROW(read_coco_results("/nowhere/at/all", [](const CocoResult&) {}), Error);
}

}  // namespace
}  // namespace cytodet
