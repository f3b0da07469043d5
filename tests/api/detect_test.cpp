// Detection on files and on pixels in memory: the program's answers, whatever the pixels come in.
#include <atomic>
#include <clocale>
#include <cstdlib>
#include <optional>
#include <thread>

#include "tests/api/program.h"

namespace cytodet::test {
namespace {

class DetectFile : public ApiTest {};

TEST_F(DetectFile, BoxesOfAnImageEqualTheProgramsByteForByte) {
  const Result r = model().detect_file(kImage);
  expect_equal(r.detections, boxes_of_program(kImage));
  EXPECT_EQ(r.state, State::done);
  EXPECT_EQ(r.name, kImage);
  EXPECT_EQ(r.width, 640);
  EXPECT_EQ(r.height, 480);
  EXPECT_EQ(r.tiles, 1);
}

TEST_F(DetectFile, BoxesOfATiledSlideEqualTheProgramsByteForByte) {
  DetectOptions options;
  options.score = 0.3;
  options.tile = 512;
  options.merge = "nms";
  const Result r = model().detect_file(kSlide, options);
  expect_equal(r.detections, boxes_of_program(kSlide, {"--score", "0.3", "--tile", "512", "--merge", "nms"}));
  EXPECT_GT(r.tiles, 9);
  EXPECT_EQ(r.tiles_run, r.tiles);
}

TEST_F(DetectFile, JsonTakesTheKeysOfARunConfig) {
  DetectOptions options;
  options.json = R"({"tiling": {"tile_px": 512, "overlap_px": 128}, "merge": {"method": "nms"}, "score": 0.3})";
  expect_equal(model().detect_file(kSlide, options).detections,
               boxes_of_program(kSlide, {"--score", "0.3", "--tile", "512", "--merge", "nms"}));
}

TEST_F(DetectFile, ClassesHaveNamesAndIds) {
  const std::vector<std::string> classes = model().classes();
  ASSERT_FALSE(classes.empty());
  for (const Detection& d : model().detect_file(kImage).detections) {
    EXPECT_EQ(d.class_name, classes.at(static_cast<size_t>(d.class_index)));
    EXPECT_EQ(d.class_id, cytodet_model_class_id(model().handle(), static_cast<size_t>(d.class_index)));
  }
}

TEST_F(DetectFile, ModelOptionsAreThoseOfTheProgram) {
  ModelOptions options;
  options.score = 0.4;
  options.detections = 7;
  options.streams = 1;
  const Model strict(kModel, options);
  EXPECT_EQ(strict.streams(), 1);
  EXPECT_EQ(strict.score(), 0.4);
  const Result r = strict.detect_file(kImage);
  EXPECT_EQ(r.detections.size(), 7u);
  expect_equal(r.detections, boxes_of_program(kImage, {"--score", "0.4", "--detections", "7"}));
}

TEST_F(DetectFile, Bfloat16EqualsTheProgram) {
  ModelOptions options;
  options.precision = Precision::bf16;
  std::optional<Model> bf16;
  try {
    bf16.emplace(kModel, options);
  } catch (const Error& e) {
    GTEST_SKIP() << e.what();  // a CPU without bfloat16
  }
  expect_equal(bf16->detect_file(kImage).detections, boxes_of_program(kImage, {"--precision", "bf16"}));
}

TEST_F(DetectFile, RegionsOfInterestLeaveOutTheRest) {
  DetectOptions options;
  options.roi = kSource + "/tests/data/slides/blood-mosaic.roi.geojson";
  const Result r = model().detect_file(kSlide, options);
  EXPECT_LT(r.tiles_run, r.tiles);
  expect_equal(r.detections, boxes_of_program(kSlide, {"--roi", options.roi}));
}

TEST_F(DetectFile, MissingFileThrowsWhereProblemAndAdvice) {
  const Error e = error_of([&] { model().detect_file(path("missing.svs")); });
  EXPECT_EQ(e.kind(), ErrorKind::failed);
  EXPECT_EQ(e.where(), path("missing.svs"));
  EXPECT_EQ(e.problem(), "cannot open: no such file");
  EXPECT_EQ(e.advice(), "check the path");
  EXPECT_EQ(e.what(), path("missing.svs") + ": cannot open: no such file; check the path");
}

TEST_F(DetectFile, FolderIsNoSingleFile) {
  EXPECT_EQ(error_of([&] { model().detect_file(kImages); }).kind(), ErrorKind::usage);
}

TEST_F(DetectFile, ScoreBelowTheModelsIsRefused) {
  DetectOptions options;
  options.score = 0.001;
  const Error e = error_of([&] { model().detect_file(kImage, options); });
  EXPECT_EQ(e.kind(), ErrorKind::usage);
  EXPECT_EQ(e.advice(), "open the model with a lower score");
}

TEST_F(DetectFile, UnknownSettingNamesTheNearestOne) {
  DetectOptions options;
  options.json = R"({"tiling": {"tile": 512}})";
  const Error e = error_of([&] { model().detect_file(kImage, options); });
  EXPECT_EQ(e.kind(), ErrorKind::usage);
  EXPECT_NE(std::string(e.what()).find("tile_px"), std::string::npos) << e.what();
}

class DetectFiles : public ApiTest {};

TEST_F(DetectFiles, BadInputFailsAloneWithItsError) {
  const Results all = model().detect_files({path("missing.jpg"), kImage});
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].state, State::failed);
  ASSERT_TRUE(all[0].error.has_value());
  EXPECT_EQ(all[0].error->advice(), "check the path");
  EXPECT_EQ(all[1].state, State::done);
  EXPECT_FALSE(all[1].error.has_value());
  EXPECT_FALSE(all[1].detections.empty());
  EXPECT_FALSE(all.stopped());
}

TEST_F(DetectFiles, NothingToDetectOnIsAnError) {
  EXPECT_EQ(error_of([&] { model().detect_files({}); }).kind(), ErrorKind::usage);
  std::filesystem::create_directories(folder / "empty");
  EXPECT_EQ(error_of([&] { model().detect_files({path("empty")}); }).where(), path("empty"));
}

TEST_F(DetectFiles, NothingIsPrinted) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  model().detect_files({path("missing.jpg"), kImage, kSlide});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

class DetectImage : public ApiTest {};

TEST_F(DetectImage, PixelsEqualTheirFile) {
  const Image image = pixels_of(kImage);
  const Result r = model().detect_image(image);
  expect_equal(r.detections, model().detect_file(kImage).detections);
  EXPECT_EQ(r.name, "image 0");
}

TEST_F(DetectImage, PixelsOfASlideAreTiledAsItsFile) {
  const Image image = pixels_of(kSlide);
  DetectOptions options;
  options.mode = "slide";  // the file has levels, the pixels have none
  options.level = 0;
  const Result r = model().detect_image(image, options);
  expect_equal(r.detections, model().detect_file(kSlide, options).detections);
  EXPECT_GT(r.tiles, 1);
}

TEST_F(DetectImage, BgrAndPaddedRowsEqualRgb) {
  const Image image = pixels_of(kImage);
  const int64_t stride = image.width * 3 + 7;
  std::vector<uint8_t> bgr(static_cast<size_t>(stride * image.height), 99);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      for (int c = 0; c < 3; ++c)
        bgr[static_cast<size_t>(y * stride + x * 3 + c)] = image.rgb[static_cast<size_t>((y * image.width + x) * 3 + 2 - c)];
  const ImageView view(bgr.data(), image.width, image.height, PixelFormat::bgr8, stride);
  expect_equal(model().detect_image(view).detections, model().detect_image(image).detections);
}

TEST_F(DetectImage, GrayEqualsRgbOfEqualChannels) {
  const Image image = pixels_of(kImage);
  std::vector<uint8_t> gray(image.rgb.size() / 3), rgb(image.rgb.size());
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = gray[i / 3] = image.rgb[i / 3 * 3 + 1];
  const ImageView view(gray.data(), image.width, image.height, PixelFormat::gray8);
  expect_equal(model().detect_image(view).detections,
               model().detect_image(ImageView(rgb.data(), image.width, image.height)).detections);
}

TEST_F(DetectImage, MicrometresPerPixelGiveTheWorkingResolution) {
  const Image image = pixels_of(kImage);
  ImageView view(image);
  DetectOptions options;
  options.mpp = 0.5;
  EXPECT_EQ(error_of([&] { model().detect_image(view, options); }).kind(), ErrorKind::failed);  // not known
  view.mpp_x = 0.25;
  const Result r = model().detect_image(view, options);
  EXPECT_EQ(r.mpp_x, 0.25);
  EXPECT_EQ(r.mpp_y, 0.25);
  DetectOptions half;
  half.scale = 0.5;
  expect_equal(r.detections, model().detect_image(image, half).detections);
}

TEST_F(DetectImage, BatchEqualsSingleImages) {
  const Image first = pixels_of(kImage), second = pixels_of(kImages + "/BloodImage_00015.jpg");
  ImageView named(second);
  named.name = "second";
  const Results all = model().detect_images({first, named});
  ASSERT_EQ(all.size(), 2u);
  expect_equal(all[0].detections, model().detect_image(first).detections);
  expect_equal(all[1].detections, model().detect_image(second).detections);
  EXPECT_EQ(all[1].name, "second");
}

class Stop : public ApiTest {};

TEST_F(Stop, FinishedInputsKeepTheirResults) {
  std::atomic<bool> stop{false};
  DetectOptions options;
  options.progress = [&](const Progress& p) { stop = stop || (p.input == 1 && p.tiles_done == 1); };
  options.stop = [&] { return stop.load(); };
  const Results all = model().detect_files({kImage, kSlide}, options);
  EXPECT_TRUE(all.stopped());
  ASSERT_EQ(all.size(), 1u);
  expect_equal(all[0].detections, model().detect_file(kImage).detections);
}

TEST_F(Stop, SingleFileThrows) {
  DetectOptions options;
  options.stop = [] { return true; };
  EXPECT_EQ(error_of([&] { model().detect_file(kSlide, options); }).kind(), ErrorKind::stopped);
}

TEST_F(Stop, WhatACallbackThrowsIsThrownByTheCall) {
  DetectOptions options;
  options.progress = [](const Progress&) { throw std::runtime_error("from the callback"); };
  EXPECT_THROW(model().detect_file(kSlide, options), std::runtime_error);
  options.progress = {};
  options.stop = []() -> bool { throw std::out_of_range("from stop"); };
  EXPECT_THROW(model().detect_file(kSlide, options), std::out_of_range);
}

TEST_F(Stop, ProgressCountsAllTilesAndInputs) {
  std::vector<Progress> reports;
  DetectOptions options;
  options.progress = [&](const Progress& p) { reports.push_back(p); };
  const Results all = model().detect_files({kImage, kSlide}, options);
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports.front().tiles_done, 0);
  EXPECT_EQ(reports.back().input, 1u);
  EXPECT_EQ(reports.back().tiles_done, reports.back().tiles);
  EXPECT_EQ(reports.back().inputs, 2u);
  EXPECT_EQ(static_cast<int64_t>(reports.size()), all[0].tiles_run + all[1].tiles_run + 2);
}

class Threads : public ApiTest {};

TEST_F(Threads, TwoDetectWithOneModel) {
  const Image image = pixels_of(kImage);
  const std::vector<Detection> expected = model().detect_image(image).detections;
  const std::vector<Detection> expected_slide = model().detect_file(kSlide).detections;
  std::vector<Result> of_image(12), of_slide(2);
  std::thread images([&] {
    for (Result& r : of_image) r = model().detect_image(image);
  });
  std::thread slides([&] {
    for (Result& r : of_slide) r = model().detect_file(kSlide);
  });
  images.join();
  slides.join();
  for (const Result& r : of_image) expect_equal(r.detections, expected);
  for (const Result& r : of_slide) expect_equal(r.detections, expected_slide);
}

TEST_F(Threads, TwoDetectWithAModelEach) {
  const std::vector<Detection> expected = model().detect_file(kImage).detections;
  std::vector<std::vector<Detection>> found(2);
  std::vector<std::thread> threads;
  for (std::vector<Detection>& f : found)
    threads.emplace_back([&f] {
      const Model own(kModel);
      for (int i = 0; i < 4; ++i) f = own.detect_file(kImage).detections;
    });
  for (std::thread& t : threads) t.join();
  for (const std::vector<Detection>& f : found) expect_equal(f, expected);
}

class Run : public ApiTest {};

TEST_F(Run, FolderEqualsTheProgramsByteForByte) {
  RunOptions options;
  options.detect.score = 0.2;
  options.overlay = true;
  const RunSummary summary = model().run({kImage, kSlide}, path("api"), options);
  EXPECT_EQ(summary.done, 2);
  EXPECT_EQ(summary.failed, 0);
  EXPECT_GT(summary.detections, 100);
  EXPECT_FALSE(summary.stopped);
  program({"detect", "--model", kModel, kImage, kSlide, "-o", path("program"), "--score", "0.2", "--overlay"});
  std::map<std::string, std::string> ours = files_of_run(path("api")), theirs = files_of_run(path("program"));
  ASSERT_EQ(ours.size(), theirs.size());
  for (const auto& [name, bytes] : theirs) {
    // The settings that a .boxes file starts with name the model's own score, which --score lowers or lifts.
    const size_t skip = name.ends_with(".boxes") ? bytes.find('\n') : 0;
    ASSERT_TRUE(ours.contains(name)) << name;
    const size_t ours_skip = name.ends_with(".boxes") ? ours[name].find('\n') : 0;
    EXPECT_EQ(ours[name].substr(ours_skip), bytes.substr(skip)) << name;
  }
}

TEST_F(Run, StoppedRunGoesOn) {
  RunOptions options;
  std::atomic<bool> stop{false};
  options.detect.progress = [&](const Progress& p) { stop = stop || (p.input == 1 && p.tiles_done > 0); };
  options.detect.stop = [&] { return stop.load(); };
  const RunSummary first = model().run({kImage, kSlide}, path("run"), options);
  EXPECT_TRUE(first.stopped);
  EXPECT_EQ(first.done, 1);
  EXPECT_EQ(first.waiting, 1);
  RunOptions resume;
  resume.resume = true;
  const RunSummary second = model().run({kImage, kSlide}, path("run"), resume);
  EXPECT_EQ(second.done, 2);
  EXPECT_FALSE(second.stopped);
}

TEST_F(Run, FailedInputsAreReportedAndNothingIsPrinted) {
  testing::internal::CaptureStderr();
  const RunSummary summary = model().run({path("missing.jpg"), kImage}, path("run"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(summary.failed, 1);
  EXPECT_EQ(summary.done, 1);
  ASSERT_FALSE(summary.messages.empty());
  EXPECT_NE(summary.messages[0].find("no such file"), std::string::npos) << summary.messages[0];
}

// A program may use a locale that writes a comma in numbers; files and settings keep the point.
TEST_F(Run, CommaLocaleOfTheCallerChangesNoFile) {
  if (std::system(("localedef -f UTF-8 -i de_DE '" + path("de_DE.UTF-8") + "' >/dev/null 2>&1").c_str()) != 0)
    GTEST_SKIP() << "localedef or its sources are not installed";
  RunOptions options;
  options.json = R"({"outputs": ["geojson", "csv"]})";
  model().run({kImage}, path("point"), options);
  ::setenv("LOCPATH", folder.c_str(), 1);
  ASSERT_NE(std::setlocale(LC_ALL, "de_DE.UTF-8"), nullptr);
  EXPECT_EQ(std::localeconv()->decimal_point, std::string(","));
  model().run({kImage}, path("comma"), options);
  const double mpp = Slide(kSource + "/tests/data/slides/small.svs").mpp_x();
  std::setlocale(LC_ALL, "C");
  ::unsetenv("LOCPATH");
  EXPECT_EQ(files_of_run(path("comma")), files_of_run(path("point")));
  EXPECT_EQ(mpp, Slide(kSource + "/tests/data/slides/small.svs").mpp_x());
}

TEST_F(Run, SettingsOfTheModelAreRefused) {
  RunOptions options;
  options.json = R"({"model": "other.json"})";
  EXPECT_EQ(error_of([&] { model().run({kImage}, path("run"), options); }).where(), "model");
}

}  // namespace
}  // namespace cytodet::test
