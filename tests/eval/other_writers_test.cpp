// Ground truth and results as other programs write them: encodings, numbers without a value.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "eval/ground_truth.h"
#include "eval/results.h"
#include "tests/error_of.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;

std::string utf16(std::string_view ascii, bool big_endian) {
  std::string bytes = big_endian ? "\xfe\xff" : "\xff\xfe";
  for (char c : ascii) big_endian ? (bytes += '\0', bytes += c) : (bytes += c, bytes += '\0');
  return bytes;
}

std::string truth_text(const std::string& more) {
  return R"({"images": [{"id": 1, "file_name": "a.jpg", "width": 10, "height": 10, "exposure": NaN}],
    "categories": [{"id": 1, "name": "rbc"}], "info": {"mean": Infinity, "std": -Infinity},
    "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4])" +
         more + "}]}";
}

constexpr const char* kResult = R"({"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5})";

TEST(OtherWriters, GroundTruthWithNumbersWithoutAValueWhereNobodyReads) {
  const GroundTruth t = parse_ground_truth(
      truth_text(R"(, "area": 12, "attributes": {"mean": NaN, "uuid": 340282366920938463463374607431768211455})"), "t");
  ASSERT_EQ(t.size(), 1u);
  EXPECT_EQ(t.boxes[3], 4);
  EXPECT_THAT(error_of([] { parse_ground_truth(truth_text(R"(, "area": NaN)"), "t.json"); }),
              HasSubstr("annotations[0].area is not a number"));
}

TEST(OtherWriters, NullStandsForNothing) {
  const GroundTruth t =
      parse_ground_truth(R"({"images": [{"id": 1, "file_name": null, "license": null}], "categories": [{"id": 1, "name": "rbc"}],
    "annotations": [{"id": null, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": null, "iscrowd": null}]})",
                         "t");
  EXPECT_EQ(t.areas.at(0), 12);
  EXPECT_EQ(t.ids.at(0), 1);
  EXPECT_EQ(t.warnings.size(), 2u);
}

TEST(OtherWriters, GroundTruthAndResultsInEveryEncoding) {
  const std::string truth = truth_text(""), list = "[" + std::string(kResult) + "]";
  for (const std::string& text : {"\xef\xbb\xbf" + truth, utf16(truth, false), utf16(truth, true)}) {
    const GroundTruth t = parse_ground_truth(text, "t");
    EXPECT_EQ(t.images.at(0).file_name, "a.jpg");
    for (const std::string& results : {"\xef\xbb\xbf" + list, utf16(list, false), utf16(list, true)}) {
      EXPECT_EQ(parse_detections(results, "d", t).size(), 1u);
      EXPECT_EQ(parse_coco_results(results, "d", [](const CocoResult& r) { EXPECT_EQ(r.score, 0.5); }), 1);
    }
  }
}

TEST(OtherWriters, LongListsInUtf16AreReadPieceByPiece) {
  std::string list = "[" + std::string(kResult);
  for (int i = 1; i < 9000; ++i) list += std::string(",\r\n") + kResult;
  const std::filesystem::path file = std::filesystem::temp_directory_path() / ("utf16-" + std::to_string(::getpid()) + ".json");
  write_file(file, utf16(list + "]", false));
  int64_t seen = 0;
  EXPECT_EQ(read_coco_results(file, [&](const CocoResult&) { ++seen; }), 9000);
  EXPECT_EQ(seen, 9000);
  std::filesystem::remove(file);
}

TEST(OtherWriters, ResultsWithNumbersWithoutAValue) {
  const auto error = [](const std::string& list) {
    return error_of([&] { parse_coco_results(list, "d.json", [](const CocoResult&) {}); });
  };
  EXPECT_EQ(error(R"([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, "logit": -Infinity}])"), "");
  EXPECT_THAT(error(R"([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": NaN}])"),
              HasSubstr("detections[0].score"));
  EXPECT_THAT(error(R"([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, NaN], "score": 1}])"),
              HasSubstr("detections[0].bbox"));
  EXPECT_THAT(error("[{\"image_id\": 1, \"note\": \"\xe4\"}]"), HasSubstr("is not UTF-8: byte 0xE4"));
}

}  // namespace
}  // namespace cytodet
