// Slides, evaluation and graphs through the C++ interface.
#include <nlohmann/json.hpp>

#include "tests/api/program.h"

namespace cytodet::test {
namespace {

class SlideRead : public ApiTest {};

TEST_F(SlideRead, TellsSizeLevelsAndFormat) {
  const Slide slide(kSource + "/tests/data/slides/small.svs");
  EXPECT_EQ(slide.format(), "svs");
  ASSERT_FALSE(slide.levels().empty());
  EXPECT_EQ(slide.levels()[0].width, slide.width());
  EXPECT_EQ(slide.levels()[0].height, slide.height());
  EXPECT_EQ(slide.levels()[0].downsample, 1);
  EXPECT_GT(slide.mpp_x(), 0);
  EXPECT_FALSE(slide.mpp_source().empty());
  EXPECT_EQ(slide.bounds().x1, static_cast<double>(slide.width()));
}

TEST_F(SlideRead, RegionIsPartOfTheWholeAndWhiteOutside) {
  const Image whole = pixels_of(kImage);
  const Image part = Slide(kImage).read(0, -2, 470, 8, 12);
  for (int y = 0; y < 12; ++y)
    for (int x = 0; x < 8; ++x) {
      const int wx = x - 2, wy = y + 470;
      const bool outside = wx < 0 || wy >= whole.height;
      const int expected = outside ? 255 : whole.rgb[static_cast<size_t>((wy * whole.width + wx) * 3)];
      EXPECT_EQ(part.rgb[static_cast<size_t>((y * 8 + x) * 3)], expected) << x << ", " << y;
    }
}

TEST_F(SlideRead, ScaledAtFullSizeEqualsTheRegion) {
  const Slide slide(kSlide);
  EXPECT_EQ(slide.read_scaled({100, 200, 228, 264}, 128, 64).rgb, slide.read(0, 100, 200, 128, 64).rgb);
  const Image small = slide.thumbnail(100);
  EXPECT_EQ(std::max(small.width, small.height), 100);
}

TEST_F(SlideRead, ErrorsNameTheFile) {
  const Slide slide(kSlide);
  EXPECT_EQ(error_of([&] { slide.read(99, 0, 0, 1, 1); }).kind(), ErrorKind::usage);
  EXPECT_EQ(error_of([&] { slide.read(0, 0, 0, 0, 5); }).kind(), ErrorKind::usage);
  EXPECT_EQ(error_of([&] { slide.read_scaled({5, 5, 5, 9}, 10, 10); }).kind(), ErrorKind::usage);
  EXPECT_EQ(error_of([&] { Slide(path("none.svs")); }).where(), path("none.svs"));
  SlideOptions options;
  options.page = -1;
  EXPECT_EQ(error_of([&] { Slide(kSlide, options); }).kind(), ErrorKind::usage);
}

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
  options.truth = kTruth;
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

class GraphFiles : public ApiTest {};

TEST_F(GraphFiles, OptimizedGraphEqualsTheProgramsByteForByte) {
  const std::string graph = kSource + "/models/efficientdet/efficientdet_d0_blood.pb";
  OptimizeOptions options;
  options.check = false;
  const OptimizeReport report = optimize(graph, path("ours.pb"), options);
  EXPECT_LE(report.nodes_after, report.nodes_before);
  EXPECT_GT(report.nodes_after, 0);
  program({"optimize", graph, "-o", path("theirs.pb"), "--no-check"});
  EXPECT_EQ(bytes_of(path("ours.pb")), bytes_of(path("theirs.pb")));
  EXPECT_EQ(error_of([&] { optimize(graph, graph); }).kind(), ErrorKind::usage);  // over its own source
}

TEST_F(GraphFiles, CalibratedAndQuantizedGraphEqualsTheProgramsByteForByte) {
  CalibrateOptions calibration;
  calibration.max_images = 3;
  const CalibrateReport ranges = calibrate(kModel, kImages, path("ranges.json"), calibration);
  EXPECT_EQ(ranges.images, 3);
  EXPECT_GT(ranges.ranges, 100);
  QuantizeOptions options;
  options.ranges = path("ranges.json");
  options.check = false;
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  const QuantizeReport report = quantize(kModel, path("ours.pb"), options);
  EXPECT_EQ(testing::internal::GetCapturedStderr() + testing::internal::GetCapturedStdout(), "");
  EXPECT_GT(report.int8_layers, 100);
  EXPECT_GE(report.layers, report.int8_layers);
  program({"quantize", kModel, "--images", kImages, "--max-images", "3", "-o", path("theirs.pb"), "--no-check", "--quiet"});
  EXPECT_EQ(bytes_of(path("ours.pb")), bytes_of(path("theirs.pb")));

  const Model int8(path("ours.json"));
  const Result r = int8.detect_file(kImage);
  program({"detect", "--model", path("ours.json"), kImage, "-o", path("run"), "--quiet"});
  const std::string boxes = bytes_of(path("run") + "/boxes/BloodImage_00007.boxes");
  ASSERT_EQ(boxes.size() - boxes.find('\n') - 1, 40 * r.detections.size());
  EXPECT_EQ(std::memcmp(&boxes[boxes.find('\n') + 1], &r.detections[0].box, sizeof(Box)), 0);
}

TEST_F(GraphFiles, QuantizingWithoutImagesOrRangesIsRefused) {
  EXPECT_EQ(error_of([&] { quantize(kModel, path("out.pb"), {}); }).kind(), ErrorKind::usage);
  QuantizeOptions options;
  options.images = kImages;
  options.json = R"({"max_drop": 0.01})";
  EXPECT_EQ(error_of([&] { quantize(kModel, path("out.pb"), options); }).where(), "max_drop");
}

TEST_F(GraphFiles, NamesThatDoNotExistAreToldWithTheNearest) {
  OptimizeOptions options;
  options.passes = {"fold_constant"};
  const Error e = error_of([&] { optimize(kSource + "/models/efficientdet/efficientdet_d0_blood.pb", path("o.pb"), options); });
  EXPECT_EQ(e.kind(), ErrorKind::usage);
  EXPECT_NE(std::string(e.what()).find("fold_constants"), std::string::npos) << e.what();
}

TEST(Models, ErrorsNameTheFile) {
  EXPECT_EQ(error_of([] { Model("/nowhere/model.json"); }).where(), "/nowhere/model.json");
  ModelOptions options;
  options.streams = -3;
  EXPECT_EQ(error_of([&] { Model(kModel, options); }).kind(), ErrorKind::usage);
}

TEST(Version, OfHeadersAndLibraryAreOne) {
  EXPECT_EQ(version(), CYTODET_VERSION_STRING);
  EXPECT_EQ(cytodet_c_api_version(), CYTODET_C_API_VERSION);
  EXPECT_EQ(version(), std::to_string(CYTODET_VERSION_MAJOR) + "." + std::to_string(CYTODET_VERSION_MINOR) + "." +
                           std::to_string(CYTODET_VERSION_PATCH));
}

}  // namespace
}  // namespace cytodet::test
