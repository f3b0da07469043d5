// COCO's figures: those of the program.
#include <nlohmann/json.hpp>

#include "tests/api/program.h"

namespace cytodet::test {
namespace {

class Evaluate : public ApiTest {};

// The program's figures are COCO's: those of the library equal them in every digit.
void expect_report(const Scores& scores, const std::string& report) {
  const nlohmann::json j = nlohmann::json::parse(bytes_of(report));
  EXPECT_EQ(scores.figures.size(), 12u);
  for (const Figure& f : scores.figures) EXPECT_EQ(f.value, j["stats"][f.name].get<double>()) << f.name;
  ASSERT_EQ(scores.classes.size(), j["classes"].size());
  for (size_t i = 0; i < scores.classes.size(); ++i) {
    EXPECT_EQ(scores.classes[i].name, j["classes"][i]["name"].get<std::string>());
    EXPECT_EQ(scores.classes[i].ap, j["classes"][i]["AP"].get<double>());
    EXPECT_EQ(scores.classes[i].annotations, j["classes"][i]["truths"].get<int64_t>());
  }
}

TEST_F(Evaluate, FiguresOfResultsEqualTheProgramsReport) {
  const GroundTruth truth(kTruth);
  EXPECT_EQ(truth.image_count(), 36u);
  const Scores scores = evaluate(truth, model().detect_files({kImages}));
  program({"evaluate", "--truth", kTruth, "--model", kModel, "--images", kImages, "-o", path("report.json"), "--quiet"});
  expect_report(scores, path("report.json"));
  EXPECT_GT(scores["AP50"], 0.5);
  EXPECT_EQ(scores["no such figure"], -1);
}

TEST_F(Evaluate, FiguresOfAFileAndOfItsTextEqualTheProgramsReport) {
  RunOptions options;
  options.ground_truth = kTruth;
  model().run({kImages}, path("run"), options);
  const std::string detections = path("run") + "/detections.json";
  program({"evaluate", "--truth", kTruth, "--detections", detections, "-o", path("report.json")});
  const GroundTruth truth = GroundTruth::parse(bytes_of(kTruth));
  expect_report(evaluate_file(GroundTruth(kTruth), detections), path("report.json"));
  expect_report(evaluate_json(truth, bytes_of(detections)), path("report.json"));
}

TEST_F(Evaluate, PerfectDetectionsScoreOne) {
  const char* truth =
      R"({"images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 100}], "categories": [{"id": 3, "name": "cell"}],
          "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0}]})";
  const char* found = R"([{"image_id": 1, "category_id": 3, "bbox": [10, 10, 50, 50], "score": 0.9}])";
  EXPECT_DOUBLE_EQ(evaluate_json(GroundTruth::parse(truth), found)["AP"], 1);
  EvaluateOptions options;
  options.max_dets = {5, 3};
  EXPECT_EQ(error_of([&] { evaluate_json(GroundTruth::parse(truth), found, options); }).where(), "max_dets");
}

TEST_F(Evaluate, ErrorsNameTheElement) {
  EXPECT_EQ(error_of([&] { GroundTruth::parse("[1, 2"); }).kind(), ErrorKind::failed);
  EXPECT_EQ(error_of([&] { GroundTruth(path("none.json")); }).where(), path("none.json"));
}

}  // namespace
}  // namespace cytodet::test
