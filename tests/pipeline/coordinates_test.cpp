// Coordinates and physical units from a slide to what other programs read, and back.
#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "core/error.h"
#include "core/settings.h"
#include "pipeline/results/formats/output.h"
#include "pipeline/results/formats/summary.h"
#include "tests/pipeline/program.h"
#include "tiling/regions/roi.h"
#include "tiling/slides/image_io.h"
#include "tiling/tiles/region.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kField = kSource + "/tests/data/field/";
const std::string kScan = kField + "13-scn-bounds/slide.scn", kStretched = kField + "19-nonsquare-mpp/x05_y025.tif",
                  kMosaic = kSource + "/tests/data/slides/blood-mosaic.tif";

Json detections(const std::filesystem::path& run) { return read_json(run / "detections.json"); }
Json input(const std::filesystem::path& run) { return read_json(run / "run.json")["inputs"][0]; }

double mean_of(const Image& image, size_t channel) {
  double sum = 0;
  for (size_t i = channel; i < image.rgb.size(); i += 3) sum += image.rgb[i];
  return 3 * sum / static_cast<double>(image.rgb.size());
}

// Upper left and lower right corner of a feature.
std::array<double, 4> corners(const Json& feature) {
  const Json& ring = feature["geometry"]["coordinates"][0];
  return {ring[0][0], ring[0][1], ring[2][0], ring[2][1]};
}

class Coordinates : public ProgramTest {
 protected:
  Output detect(const std::string& slide, const std::string& name, std::vector<std::string> more) {
    more.insert(more.begin(), {"detect", "--model", kModel, slide, "-o", path(name), "--quiet", "--operating-score", "0"});
    return run(more);
  }
  // Features lie where the results say, less (dx, dy).
  void expect_moved(const Json& features, const Json& found, double dx, double dy) {
    ASSERT_EQ(features.size(), found.size());
    for (size_t i = 0; i < found.size(); ++i) {
      const auto c = corners(features[i]);
      EXPECT_NEAR(c[0], found[i]["bbox"][0].get<double>() - dx, 0.02);
      EXPECT_NEAR(c[1], found[i]["bbox"][1].get<double>() - dy, 0.02);
      EXPECT_NEAR(c[2] - c[0], found[i]["bbox"][2].get<double>(), 0.02);
    }
  }
};

TEST_F(Coordinates, SlideScannedInPartCountsAsItsViewer) {
  ASSERT_EQ(detect(kScan, "run", {"--outputs", "geojson,summary,csv", "--overlay"}).code, 0);
  EXPECT_EQ(input(folder / "run")["tiles"], 6);
  EXPECT_EQ(input(folder / "run")["bounds"], Json::array({2000, 2400, 1280, 960}));
  const Json summary = read_json(folder / "run/slide.summary.json");
  EXPECT_EQ(summary["width"], 1280);
  EXPECT_EQ(summary["height"], 960);
  const Json found = detections(folder / "run");
  ASSERT_GT(found.size(), 50u);
  for (const Json& d : found) {
    EXPECT_GE(d["bbox"][0].get<double>(), 2000);
    EXPECT_LE(d["bbox"][0].get<double>() + d["bbox"][2].get<double>(), 3280.01);
    EXPECT_GE(d["bbox"][1].get<double>(), 2400);
    EXPECT_LE(d["bbox"][1].get<double>() + d["bbox"][3].get<double>(), 3360.01);
  }
  expect_moved(read_json(folder / "run/slide.geojson")["features"], found, 2000, 2400);
  EXPECT_EQ(open_slide(folder / "run/slide.png")->width(), 1280) << "the overlay shows the scan";

  const auto exported = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"export"});
    more.insert(more.end(), {"-o", path("e.geojson")});
    const Output o = run(more);
    EXPECT_EQ(o.code, 0) << o.err;
    return read_json(folder / "e.geojson")["features"];
  };
  expect_moved(exported({path("run")}), found, 2000, 2400);
  expect_moved(exported({path("run"), "--origin", "slide"}), found, 0, 0);
  const std::string results = path("run/detections.json");
  expect_moved(exported({results, "--slides", kScan}), found, 2000, 2400);
  expect_moved(exported({results}), found, 0, 0);

  ASSERT_EQ(detect(kScan, "whole", {"--outputs", "geojson", "--origin", "slide"}).code, 0);
  expect_moved(read_json(folder / "whole/slide.geojson")["features"], found, 0, 0);
  expect_moved(exported({path("whole")}), found, 0, 0);
  EXPECT_EQ(detect(kScan, "x", {"--origin", "canvas"}).code, 2);
}

// Two parts of 640 x 480 pixels, far from each other on the canvas.
TEST_F(Coordinates, NothingBetweenScannedPartsCounts) {
  ASSERT_EQ(detect(kSource + "/tests/data/tiling/geometry/two_parts.scn", "run", {"--outputs", "geojson", "--tile", "512"}).code,
            0);
  const Json s = input(folder / "run");
  EXPECT_EQ(s["bounds"], Json::array({100, 200, 2540, 2680}));
  EXPECT_EQ(s["analysed_px"], 2 * 640 * 480);
  EXPECT_LE(s["tiles"], 12) << "the bounds take 49";
  const Json found = detections(folder / "run");
  ASSERT_GT(found.size(), 50u);
  for (const Json& d : found) {
    const double x = d["bbox"][0].get<double>() + d["bbox"][2].get<double>() / 2,
                 y = d["bbox"][1].get<double>() + d["bbox"][3].get<double>() / 2;
    EXPECT_TRUE((x >= 100 && x <= 740 && y >= 200 && y <= 680) || (x >= 2000 && x <= 2640 && y >= 2400 && y <= 2880))
        << x << ", " << y;
  }
  expect_moved(read_json(folder / "run/two_parts.geojson")["features"], found, 100, 200);
}

TEST_F(Coordinates, RegionsFromAViewerCountAsItCounts) {
  const std::string regions = put("r.geojson", R"({"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":)"
                                               R"([[[0,0],[640,0],[640,480],[0,480]]]}})");
  ASSERT_EQ(detect(kScan, "run", {"--roi", regions, "--outputs", "summary"}).code, 0);
  const Json found = detections(folder / "run");
  ASSERT_GT(found.size(), 10u);
  for (const Json& d : found) {
    const double x = d["bbox"][0].get<double>() + d["bbox"][2].get<double>() / 2,
                 y = d["bbox"][1].get<double>() + d["bbox"][3].get<double>() / 2;
    EXPECT_TRUE(x >= 2000 && x <= 2640 && y >= 2400 && y <= 2880) << x << ", " << y;
  }
  EXPECT_EQ(input(folder / "run")["analysed_px"], 640 * 480);
  const Output none = detect(kScan, "slide", {"--roi", regions, "--origin", "slide"});
  EXPECT_THAT(none.err, HasSubstr("no tile touches a region of interest"));

  // Scoring sees the same regions: all boxes of the run are inside, and are found again.
  Json truth = {{"images", {{{"id", 1}, {"file_name", "slide.scn"}, {"width", 4000}, {"height", 4000}}}},
                {"categories", read_json(kSource + "/tests/data/bccd/val.json")["categories"]},
                {"annotations", Json::array()}};
  for (const Json& d : found)
    truth["annotations"].push_back({{"id", truth["annotations"].size() + 1},
                                    {"image_id", 1},
                                    {"category_id", d["category_id"]},
                                    {"bbox", d["bbox"]},
                                    {"area", 1},
                                    {"iscrowd", 0}});
  std::filesystem::copy_file(kScan, folder / "slide.scn");
  put("truth.json", truth.dump());
  const auto ap = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"evaluate", "--truth", path("truth.json"), "--detections", path("run/detections.json"),
                               "--max-dets", "5000", "-o", path("scores.json")});
    const Output o = run(more);
    EXPECT_EQ(o.code, 0) << o.err;
    return read_json(folder / "scores.json")["stats"]["AP"].get<double>();
  };
  EXPECT_EQ(ap({"--roi", regions}), ap({})) << "none is dropped";
  EXPECT_LT(ap({"--roi", regions, "--origin", "slide"}), 0) << "all are";
  std::filesystem::remove(folder / "slide.scn");
  const Output o =
      run({"evaluate", "--truth", path("truth.json"), "--detections", path("run/detections.json"), "--roi", regions});
  EXPECT_THAT(o.err, HasSubstr("slide.scn is not at hand"));
}

TEST_F(Coordinates, DensityIsOfTheRegionsThatWereLookedAt) {
  ASSERT_EQ(detect(kMosaic, "roi", {"--roi", kField + "24-roi-density/small.geojson", "--outputs", "summary"}).code, 0);
  const Json s = read_json(folder / "roi/blood-mosaic.summary.json");
  EXPECT_EQ(s["boxes"], 63);
  EXPECT_NEAR(s["area_mm2"].get<double>(), 0.0192, 1e-12) << "640 x 480 pixels of 0.25 micrometres";
  EXPECT_EQ(s["area_of"], "regions");
  EXPECT_NEAR(s["boxes_per_mm2"].get<double>(), 3281.25, 1e-6);
  ASSERT_EQ(run({"report", path("roi"), "-o", path("r.html"), "--thumbnails", "0"}).code, 0);
  EXPECT_THAT(read_file(path("r.html")), HasSubstr(">3281.3<"));
  ASSERT_EQ(run({"export", path("roi"), "-o", path("e/"), "--format", "summary", "--density-area", "slide"}).code, 0);
  EXPECT_NEAR(read_json(folder / "e/blood-mosaic.summary.json")["area_mm2"].get<double>(), 4.12 * 3.16 / 16, 1e-9);

  // A run of an earlier version does not give the area: that of the slide, marked.
  Json old = read_json(folder / "roi/run.json");
  for (const char* key : {"mpp_y", "mpp_warning", "bounds", "analysed_px", "run_px"}) old["inputs"][0].erase(key);
  old["settings"]["detect"].erase("origin");
  write_file(folder / "roi/run.json", old.dump());
  ASSERT_EQ(run({"export", path("roi"), "-o", path("e/"), "--format", "summary,geojson"}).code, 0);
  const Json before = read_json(folder / "e/blood-mosaic.summary.json");
  EXPECT_NEAR(before["area_mm2"].get<double>(), 4.12 * 3.16 / 16, 1e-9);
  EXPECT_THAT(before["area_of"].get<std::string>(), HasSubstr("slide, as the run does not give"));
  ASSERT_EQ(run({"report", path("roi"), "-o", path("r.html"), "--thumbnails", "0"}).code, 0);
  EXPECT_THAT(read_file(path("r.html")), HasSubstr(">77.4*<"));
}

TEST_F(Coordinates, DensityWithoutBackgroundIsOfTheTilesThatWereRun) {
  // A field of cells in the corner of a white slide.
  const auto field = open_slide(kSource + "/tests/data/bccd/BloodImage_00007.jpg");
  Image cells(static_cast<int>(field->width()), static_cast<int>(field->height()));
  field->read(0, 0, 0, cells.width, cells.height, cells.rgb.data());
  Image glass(2560, 1920);
  std::fill(glass.rgb.begin(), glass.rgb.end(), uint8_t{255});
  for (int y = 0; y < cells.height; ++y) std::copy_n(cells.row(y), cells.width * 3, glass.row(y));
  write_image(glass, folder / "glass.png");
  ASSERT_EQ(detect(path("glass.png"), "run",
                   {"--mode", "slide", "--background", "otsu", "--tile", "640", "--overlap", "0", "--set-mpp", "0.5", "--outputs",
                    "summary", "--density-area", "tiles"})
                .code,
            0);
  const Json s = input(folder / "run");
  EXPECT_EQ(s["analysed_px"], 2560 * 1920);
  EXPECT_EQ(s["run_px"], 640 * 640 * (s["tiles"].get<int>() - s["background_tiles"].get<int>()));
  EXPECT_LT(s["run_px"].get<double>(), 640 * 640 * 5);
  const Json summary = read_json(folder / "run/glass.summary.json");
  EXPECT_EQ(summary["area_of"], "tiles");
  EXPECT_NEAR(summary["area_mm2"].get<double>(), s["run_px"].get<double>() * 0.25 / 1e6, 1e-12);
  EXPECT_EQ(detect(path("glass.png"), "x", {"--density-area", "cells"}).code, 2);
}

TEST_F(Coordinates, PixelsThatAreNotSquareCountBothWays) {
  const Output o = detect(kStretched, "run", {"--outputs", "summary"});
  ASSERT_EQ(o.code, 0);
  EXPECT_THAT(o.err, HasSubstr("pixels are 0.5 x 0.25 micrometres, not square"));
  const Json s = read_json(folder / "run/x05_y025.summary.json");
  EXPECT_EQ(s["boxes"], 100);
  EXPECT_NEAR(s["boxes_per_mm2"].get<double>(), 100 / 0.0384, 1e-6);
  ASSERT_EQ(run({"report", path("run"), "-o", path("r.html"), "--thumbnails", "0"}).code, 0);
  EXPECT_THAT(read_file(path("r.html")), HasSubstr("0.5000 &times; 0.2500"));
  EXPECT_THAT(read_file(path("r.html")), HasSubstr(">2604.2<"));
  EXPECT_EQ(input(folder / "run")["mpp"], 0.5);
  EXPECT_EQ(input(folder / "run")["mpp_y"], 0.25);

  // A report of an earlier version's run asks the slide.
  Json old = read_json(folder / "run/run.json");
  for (const char* key : {"mpp_y", "mpp_warning", "bounds", "analysed_px", "run_px"}) old["inputs"][0].erase(key);
  write_file(folder / "run/run.json", old.dump());
  ASSERT_EQ(run({"report", path("run"), "-o", path("r.html"), "--thumbnails", "0"}).code, 0);
  EXPECT_THAT(read_file(path("r.html")), HasSubstr(">2604.2<"));
}

TEST_F(Coordinates, AWorkingResolutionScalesEachWayForItself) {
  const std::vector<std::string> tiles{"--mode", "slide", "--tile", "160", "--overlap", "0", "--score", "0.3"};
  std::vector<std::string> at_mpp = tiles;
  at_mpp.insert(at_mpp.end(), {"--mpp", "0.5"});
  const Output o = detect(kStretched, "mpp", at_mpp);
  ASSERT_EQ(o.code, 0);
  EXPECT_THAT(o.err, Not(HasSubstr("not square")));
  EXPECT_EQ(input(folder / "mpp")["tiles"], 8) << "640 x 240 working pixels are 4 x 2 tiles";
  // The same pixels made square beforehand: rows in pairs.
  const auto slide = open_slide(kStretched);
  Image all(640, 480), square(640, 240);
  slide->read(0, 0, 0, 640, 480, all.rgb.data());
  for (int y = 0; y < 240; ++y)
    for (int i = 0; i < 640 * 3; ++i)
      square.row(y)[i] = static_cast<uint8_t>((all.row(2 * y)[i] + all.row(2 * y + 1)[i] + 1) / 2);
  write_image(square, folder / "square.png");
  ASSERT_EQ(detect(path("square.png"), "square", tiles).code, 0);
  const Json found = detections(folder / "mpp"), expected = detections(folder / "square");
  ASSERT_GT(expected.size(), 3u);
  const auto box = [](const Json& d, double ky) {
    const Json& b = d["bbox"];
    const double x = b[0], y = b[1], w = b[2], h = b[3];
    return Box{x, y * ky, x + w, (y + h) * ky};
  };
  size_t met = 0;
  for (const Json& e : expected)
    for (const Json& f : found)
      if (iou(box(e, 2), box(f, 1)) > 0.8) {
        ++met;
        break;
      }
  EXPECT_GE(met + 1, expected.size()) << "of " << expected.size();
}

TEST_F(Coordinates, AScaleThatTheFileStatesWronglyCanBeOverruled) {
  const std::string wrong = kField + "27-aperio-strips/vips_inch.tif";
  Output o = detect(wrong, "assume", {"--mpp", "0.5", "--assume-mpp", "0.499"});
  ASSERT_EQ(o.code, 0);
  EXPECT_THAT(o.err, HasSubstr("--assume-mpp 0.499 is not used, since the file says 1.267"));
  EXPECT_NEAR(input(folder / "assume")["mpp"].get<double>(), 1.2675, 1e-3);
  o = detect(wrong, "set", {"--mpp", "0.5", "--set-mpp", "0.499", "--outputs", "summary"});
  ASSERT_EQ(o.code, 0);
  EXPECT_THAT(o.err, Not(HasSubstr("warning")));
  EXPECT_EQ(input(folder / "set")["mpp"], 0.499);
  EXPECT_EQ(input(folder / "set")["mpp_source"], "--set-mpp");
  EXPECT_EQ(read_json(folder / "set/vips_inch.summary.json")["mpp"], Json::array({0.499, 0.499}));
  ASSERT_EQ(run({"report", path("set"), "-o", path("r.html")}).code, 0);
  EXPECT_THAT(read_file(path("r.html")), HasSubstr(">0.4990<")) << "what the run used, not what the file says";
  o = run({"info", wrong, "--set-mpp", "0.5,0.25", "--json"});
  EXPECT_EQ(Json::parse(o.out)[0]["mpp_y"], 0.25);
  EXPECT_EQ(detect(wrong, "x", {"--set-mpp", "0"}).code, 2);
  EXPECT_EQ(detect(wrong, "x", {"--set-mpp", "0.5", "--assume-mpp", "0.5"}).code, 2);
  ASSERT_EQ(detect(kField + "27-aperio-strips/core.tif", "core", {"--mpp", "0.5"}).code, 0);
  EXPECT_EQ(input(folder / "core")["mpp"], 0.497);
  ASSERT_EQ(detect(kField + "12-single-strip/ij_cal.tif", "imagej", {"--mpp", "0.5"}).code, 0);
  EXPECT_EQ(input(folder / "imagej")["mpp"], 0.25);
}

// tests/data/tiling/geometry: the same pixels by OpenSlide and tifffile, with where they lie in the slide and in a viewer.
TEST_F(Coordinates, GeoJsonMeetsWhatIndependentReadersSee) {
  Classes classes;
  classes.add(1, "cell");
  const Json golden = read_json(kSource + "/tests/data/tiling/geometry/golden.json");
  ASSERT_GE(golden.size(), 3u);
  for (const Json& g : golden) {
    const std::string name = g["slide"];
    std::shared_ptr<const Slide> slide = open_slide(kSource + "/tests/data/" + name);
    const PixelArea scanned = scanned_area(*slide);
    EXPECT_EQ(Json::array({scanned.x, scanned.y, scanned.width, scanned.height}), g["bounds"]) << name;
    if (!g["mpp"].is_null()) {
      EXPECT_NEAR(slide->mpp_x.value(), g["mpp"][0].get<double>(), 1e-6) << name;
      EXPECT_NEAR(slide->mpp_y.value(), g["mpp"][1].get<double>(), 1e-6) << name;
    }
    // What is found on level 1 lies where level 0 shows it.
    for (const Json& p : g.value("level1", Json::array())) {
      const double down = slide->levels.at(1).downsample, x = p["level"][0], y = p["level"][1], side = p["level"][2];
      const Box b{x * down, y * down, (x + side) * down, (y + side) * down};
      EXPECT_NEAR(b.x0, p["slide"][0].get<double>(), 0.01) << name;
      EXPECT_NEAR(b.y1, p["slide"][1].get<double>() + p["slide"][3].get<double>(), 0.01) << name;
      const Image pixels = read_scaled(*slide, b, static_cast<int>(side), static_cast<int>(side));
      EXPECT_NEAR(mean_of(pixels, 1), p["mean"][1].get<double>(), 2) << name << " at " << b.x0 << ", " << b.y0;
    }
    Detections boxes;
    for (const Json& p : g["patches"]) {
      const double x = p["slide"][0], y = p["slide"][1], w = p["slide"][2], h = p["slide"][3];
      boxes.push_back({{x, y, x + w, y + h}, 0, 0.5F});
      Image pixels(static_cast<int>(w), static_cast<int>(h));
      slide->read(0, static_cast<int64_t>(x), static_cast<int64_t>(y), pixels.width, pixels.height, pixels.rgb.data());
      for (size_t k = 0; k < 3; ++k)
        EXPECT_NEAR(mean_of(pixels, k), p["mean"][k].get<double>(), 0.5) << name << " at " << x << ", " << y;
    }
    write_outputs({"geojson"}, output_image_of("a", 1, slide, classes), boxes, {}, folder, "a");
    Json written = read_json(folder / "a.geojson");
    for (size_t i = 0; i < boxes.size(); ++i) {
      const Json& viewer = g["patches"][i]["viewer"];
      const auto c = corners(written["features"][i]);
      EXPECT_NEAR(c[0], viewer[0].get<double>(), 0.01) << name;
      EXPECT_NEAR(c[1], viewer[1].get<double>(), 0.01) << name;
      EXPECT_NEAR(c[2] - c[0], viewer[2].get<double>(), 0.01) << name;
      EXPECT_NEAR(c[3] - c[1], viewer[3].get<double>(), 0.01) << name;
      // And back: the same rectangle as a region.
      written["features"][i]["properties"]["objectType"] = "annotation";
      write_file(folder / "region.geojson", written["features"][i].dump());
      Roi roi = RoiSource(folder / "region.geojson").of(name).value();
      roi.to_slide_frame(slide->bounds, Origin::bounds);
      const Box& b = boxes[i].box;
      EXPECT_NEAR(roi.area({0, 0, 1e6, 1e6}, {&b, 1}), b.area(), 1e-6) << name << ": the region is the box";
    }
  }
}

}  // namespace
}  // namespace cytodet::test
