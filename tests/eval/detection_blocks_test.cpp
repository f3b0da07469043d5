// Large lists of detections are read in pieces on all cores, and mean what they mean as a whole.
#include "eval/detection_blocks.h"

#include <gmock/gmock.h>

#include <random>

#include "eval/ground_truth.h"
#include "tests/error_of.h"

namespace cytodet::eval {
namespace {

using ::testing::HasSubstr;

constexpr size_t kMany = 30'000;  // elements: over 2 MB

GroundTruth truth() {
  return parse_ground_truth(
      R"({"images":[{"id":1,"file_name":"a.png"},{"id":2,"file_name":"b.png"}],"categories":[{"id":1,"name":"x"},{"id":3,"name":"y"}],
          "annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[0,0,5,5]}]})",
      "truth.json");
}

std::vector<std::string> elements() {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> value(0, 1000);
  std::vector<std::string> all;
  for (size_t i = 0; i < kMany; ++i)
    all.push_back("{\"image_id\": " + std::to_string(1 + i / (kMany / 2)) + ", \"category_id\": " + std::to_string(1 + i % 3) +
                  ", \"bbox\": [" + std::to_string(value(random)) + ", 1, 2, " + std::to_string(value(random)) +
                  "], \"score\": 0." + std::to_string(random() % 1000) + "}");
  return all;
}

std::string list_of(const std::vector<std::string>& elements, const std::string& between = ",") {
  std::string text = "[";
  for (const std::string& e : elements) text += (text.size() > 1 ? between : "") + e;
  return text + "]";
}

bool in_blocks(const std::string& text) {
  return detection_blocks(text, "d.json", [](int64_t id) { return static_cast<int32_t>(id); }).has_value();
}

void expect_equal(const DetectionSet& a, const DetectionSet& b) {
  EXPECT_EQ(a.image, b.image);
  EXPECT_EQ(a.category, b.category);
  EXPECT_EQ(a.boxes, b.boxes);
  EXPECT_EQ(a.scores, b.scores);
  EXPECT_EQ(a.warnings, b.warnings);
}

TEST(DetectionBlocks, MeanWhatTheListMeans) {
  const GroundTruth t = truth();
  const std::vector<std::string> all = elements();
  for (const char* between : {",", ", ", "\n,\n", " ,\r\n\t"}) {
    const std::string text = list_of(all, between);
    ASSERT_TRUE(in_blocks(text));
    EXPECT_FALSE(in_blocks("\xEF\xBB\xBF" + text)) << "a mark: the other reader decodes it";
    expect_equal(parse_detections(text, "d.json", t), parse_detections("\xEF\xBB\xBF" + text, "d.json", t));
  }
  EXPECT_FALSE(in_blocks(list_of({all.begin(), all.begin() + 100}))) << "a short list is read as a whole";
}

// What a piece cannot hold, or what it may be cut in, leaves the list to the reader of the whole.
TEST(DetectionBlocks, WhatIsNotPlainIsReadAsAWhole) {
  const GroundTruth t = truth();
  const std::vector<std::string> plain = elements();
  const DetectionSet expected = parse_detections("\xEF\xBB\xBF" + list_of(plain), "d.json", t);
  const std::string traps[] = {
      R"({"image_id":1,"category_id":1,"bbox":[0,0,1,1],"score":0.5,"note":"},{"})",
      R"({"image_id":1,"category_id":1,"bbox":[0,0,1,1],"score":0.5,"file_name":"a.png"})",
      R"({"image_id":"1","category_id":1,"bbox":[0,0,1,1],"score":0.5})",
      R"({"image_id":1.0,"category_id":1,"bbox":[0,0,1,1],"score":0.5})",
      R"({"image_id":1,"category_id":1,"bbox":[0,0,1,1],"score":0.5,"parts":[{"a":1},{"a":2}]})",
  };
  for (const std::string& trap : traps)
    for (const size_t at : {size_t{0}, kMany / 3, kMany - 1}) {
      std::vector<std::string> all = plain;
      all[at] = trap;
      const DetectionSet got = parse_detections(list_of(all), "d.json", t);
      EXPECT_EQ(got.size(), expected.size() + (at % 3 == 1)) << trap << " at " << at;
    }
  // Every element such: wherever a cut falls, it falls into one.
  for (const std::string& trap : traps)
    EXPECT_EQ(parse_detections(list_of(std::vector<std::string>(kMany, trap)), "d.json", t).size(), kMany) << trap;
}

TEST(DetectionBlocks, TheFirstFaultIsNamed) {
  const GroundTruth t = truth();
  std::vector<std::string> all = elements();
  all[20'000] = R"({"image_id":1,"category_id":1,"bbox":[0,0,-1,1],"score":0.5})";
  all[25'000] = R"({"image_id":1,"category_id":1,"score":0.5})";
  EXPECT_THAT(error_of([&] { parse_detections(list_of(all), "d.json", t); }), HasSubstr("detections[20000].bbox"));
  const std::string text = list_of(elements());
  EXPECT_THAT(error_of([&] { parse_detections(text.substr(0, text.size() - 1), "d.json", t); }), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of([&] { parse_detections(text + "]", "d.json", t); }), HasSubstr("not valid JSON"));
  std::vector<std::string> gap = elements();
  gap[10'000] = "";
  EXPECT_THAT(error_of([&] { parse_detections(list_of(gap), "d.json", t); }), HasSubstr("not valid JSON"));
}

}  // namespace
}  // namespace cytodet::eval
