// Optimized, calibrated and quantized graphs: the files of the program. Models and versions.
#include <atomic>
#include <cstdint>
#include <filesystem>

#include "tests/api/program.h"

namespace cytodet::test {
namespace {

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
  program({"quantize", kModel, "--ranges", path("ranges.json"), "-o", path("theirs.pb"), "--no-check", "--quiet"});
  EXPECT_TRUE(bytes_of(path("ours.pb")) == bytes_of(path("theirs.pb")));  // a listed difference would take gigabytes

  const Model int8(path("ours.json"));
  const Result r = int8.detect_file(kImage);
  program({"detect", "--model", path("ours.json"), kImage, "-o", path("run"), "--quiet"});
  const std::string boxes = bytes_of(path("run") + "/boxes/BloodImage_00007.boxes");
  ASSERT_EQ(boxes.size() - boxes.find('\n') - 1, 40 * r.detections.size());
  // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): bit for bit
  EXPECT_EQ(std::memcmp(&boxes[boxes.find('\n') + 1], &r.detections[0].box, sizeof(Box)), 0);
}

// The calibration of cytodet_quantize_watched() tells of each image, and ends when it is asked to.
struct Watch {
  std::atomic<size_t> told{0}, stop_at{SIZE_MAX};
};

TEST_F(GraphFiles, TheCalibrationOfQuantizeIsWatched) {
  const auto settings = [&](const char* json) { return cytodet_settings_parse(json, nullptr); };
  Watch watch;
  cytodet_callbacks callbacks{};
  callbacks.struct_size = sizeof callbacks;
  callbacks.user = &watch;
  callbacks.progress = [](void* user, const cytodet_progress* p) { static_cast<Watch*>(user)->told = p->inputs_done; };
  callbacks.stop = [](void* user) {
    const auto* w = static_cast<const Watch*>(user);
    return static_cast<int>(w->told >= w->stop_at);
  };
  const std::string images = kImages;
  cytodet_settings* s = settings(R"({"max_images": 2, "rounding": "nearest", "check": false})");
  cytodet_settings_set_text(s, "images", images.c_str());
  watch.stop_at = 1;
  cytodet_error* error = nullptr;
  EXPECT_EQ(cytodet_quantize_watched(kModel.c_str(), path("int8.pb").c_str(), s, &callbacks, &error), nullptr);
  EXPECT_EQ(cytodet_error_status(error), CYTODET_STOPPED);
  EXPECT_FALSE(std::filesystem::exists(path("int8.pb")));
  cytodet_error_free(error);
  watch.stop_at = SIZE_MAX;
  watch.told = 0;
  cytodet_graph_report* report = cytodet_quantize_watched(kModel.c_str(), path("int8.pb").c_str(), s, &callbacks, nullptr);
  EXPECT_EQ(watch.told, 2u);
  EXPECT_EQ(cytodet_graph_report_images(report), 2);
  cytodet_graph_report_free(report);
  cytodet_settings_free(s);
  QuantizeOptions options;
  options.images = kImages;
  options.max_images = 2;
  options.check = false;
  options.json = R"({"rounding": "nearest"})";
  quantize(kModel, path("unwatched.pb"), options);
  EXPECT_TRUE(bytes_of(path("int8.pb")) == bytes_of(path("unwatched.pb")));
}

TEST_F(GraphFiles, QuantizingWithoutImagesOrRangesIsRefused) {
  EXPECT_EQ(error_of([&] { quantize(kModel, path("out.pb"), {}); }).kind(), ErrorKind::usage);
  QuantizeOptions options;
  options.images = kImages;
  options.json = R"({"max_drop": 0.01})";
  EXPECT_EQ(error_of([&] { quantize(kModel, path("out.pb"), options); }).where(), "max_drop");
}

TEST_F(GraphFiles, NamesThatDoNotExistAreReportedWithTheNearest) {
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

TEST(Version, HeadersAndLibraryAgree) {
  EXPECT_EQ(version(), CYTODET_VERSION_STRING);
  EXPECT_EQ(cytodet_c_api_version(), CYTODET_C_API_VERSION);
  EXPECT_EQ(version(), std::to_string(CYTODET_VERSION_MAJOR) + "." + std::to_string(CYTODET_VERSION_MINOR) + "." +
                           std::to_string(CYTODET_VERSION_PATCH));
}

}  // namespace
}  // namespace cytodet::test
