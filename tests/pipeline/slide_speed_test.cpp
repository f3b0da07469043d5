// Slides at full speed: networks of other sizes, edges that fit, a first look; speed by area.
#include <gmock/gmock.h>

#include "tests/pipeline/batch_runs.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

class SlideSpeed : public BatchRuns {
 protected:
  Json detect(const std::string& out, std::vector<std::string> options, int code = 0) const {
    options.insert(options.begin(), kSlide);
    const Output o = run(command(out, options));
    EXPECT_EQ(o.code, code) << o.err;
    return o.code == 0 ? read_json(folder / out / "run.json") : Json();
  }
  std::string problem(std::vector<std::string> options, int code) const {
    options.insert(options.begin(), kSlide);
    const Output o = run(command("refused", options));
    EXPECT_EQ(o.code, code) << o.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "refused"));
    return o.errors().empty() ? "" : o.errors()[0];
  }
  static int64_t counted(const Json& run) {
    int64_t sum = 0;
    for (const Json& n : run["inputs"][0]["counted"]) sum += n.get<int64_t>();
    return sum;
  }
  // All but the first line, which names the settings.
  std::string boxes(const std::string& run) const {
    const std::string bytes = read_file(folder / run / "boxes/blood-mosaic.boxes");
    return bytes.substr(bytes.find('\n'));
  }
  void expect_equal_boxes(const std::string& a, const std::string& b) const {
    EXPECT_TRUE(boxes(a) == boxes(b)) << a << ", " << b;
  }
};

TEST_F(SlideSpeed, AWiderNetworkFindsTheSameCells) {
  const Json frozen = detect("frozen", {}), same = detect("same", {"--network-px", "512"});
  expect_equal_boxes("frozen", "same");
  EXPECT_FALSE(frozen["settings"]["detect"].contains("network_px"));
  const Json wide = detect("wide", {"--network-px", "1024,512"});
  EXPECT_EQ(wide["settings"]["detect"]["network_px"], Json({1024, 512}));
  EXPECT_EQ(wide["settings"]["detect"]["tiling"]["tile_px"], 1280) << "cells keep their size";
  EXPECT_LT(wide["inputs"][0]["tiles"], frozen["inputs"][0]["tiles"]);
  EXPECT_NEAR(static_cast<double>(counted(wide)), static_cast<double>(counted(frozen)),
              0.05 * static_cast<double>(counted(frozen)));
  for (const Json& r : {frozen, wide}) {
    const Json& t = r["timing"];
    EXPECT_NEAR(t["megapixels_per_s"].get<double>() * t["wall_s"].get<double>(), 4120 * 3160 / 1e6, 0.01);
  }
  const Output o = run(command("timed", {kSlide, "--timing", "--set-mpp", "0.25"}));
  EXPECT_THAT(o.out, HasSubstr(" megapixels/s, "));
  EXPECT_THAT(o.out, HasSubstr(" mm2/s\n"));
  const Json timed = read_json(folder / "timed/run.json")["timing"];
  EXPECT_NEAR(timed["mm2_per_s"].get<double>() / timed["megapixels_per_s"].get<double>(), 0.0625, 1e-9);
}

TEST_F(SlideSpeed, SizesThatCannotBeAreRefused) {
  EXPECT_THAT(problem({"--network-px", "500"}, 1), HasSubstr("use multiples of 128, such as 384 or 512"));
  EXPECT_THAT(problem({"--network-px", "500"}, 1), HasSubstr("efficientdet_d0_blood.pb: node "));
  EXPECT_THAT(problem({"--network-px", "8"}, 2), HasSubstr("--network-px: must be one side"));
  EXPECT_THAT(problem({"--network-px", "512,512,512"}, 2), HasSubstr("--network-px: must be one side"));
  EXPECT_THAT(problem({"--cascade", "1"}, 2), HasSubstr("detect.cascade.scale"));
  EXPECT_THAT(problem({"--cascade-score", "0.1"}, 2), HasSubstr("needs a first look"));
}

TEST_F(SlideSpeed, EdgesThatFitFindTheSameCellsOnAnyNumberOfStreams) {
  const Json whole = detect("whole", {}), fitted = detect("fitted", {"--fit-edges", "--streams", "1"});
  EXPECT_EQ(fitted["inputs"][0]["tiles"], whole["inputs"][0]["tiles"]);
  EXPECT_NEAR(static_cast<double>(counted(fitted)), static_cast<double>(counted(whole)),
              0.05 * static_cast<double>(counted(whole)));
  detect("fitted2", {"--fit-edges", "--streams", "2"});
  expect_equal_boxes("fitted", "fitted2");
}

TEST_F(SlideSpeed, AFirstLookLeavesOutWhereNothingIsSeen) {
  const Json all = detect("all", {"--fit-edges"}),
             some = detect("some", {"--fit-edges", "--cascade", "0.5", "--cascade-score", "0.1", "--streams", "1"});
  const Json& slide = some["inputs"][0];
  EXPECT_GT(slide["silent_tiles"], 0);
  EXPECT_LT(slide["run_px"], slide["analysed_px"]);
  EXPECT_EQ(slide["tiles"], all["inputs"][0]["tiles"]);
  EXPECT_GT(counted(some), counted(all) * 9 / 10);
  EXPECT_EQ(some["settings"]["detect"]["cascade"], (Json{{"scale", 0.5}, {"score", 0.1}}));
  detect("some2", {"--fit-edges", "--cascade", "0.5", "--cascade-score", "0.1", "--streams", "2"});
  expect_equal_boxes("some", "some2");
  // A look that sees whatever there is changes nothing; one that sees nothing leaves everything out.
  detect("seen", {"--fit-edges", "--cascade", "0.5", "--cascade-score", "0"});
  expect_equal_boxes("seen", "all");  // boxes of low scores are for the first look alone
  const Json none = detect("none", {"--cascade", "0.5", "--cascade-score", "0.999"});
  EXPECT_EQ(none["inputs"][0]["silent_tiles"], none["inputs"][0]["tiles"]);
  EXPECT_EQ(none["inputs"][0]["state"], "done");
  EXPECT_EQ(none["inputs"][0]["detections"], 0);
}

TEST_F(SlideSpeed, TheLossOfAFirstLookIsTold) {
  const Output o =
      run({"evaluate", "--model", kModel, "--images", kSlide, "--truth", kSource + "/tests/data/slides/blood-mosaic.json",
           "--cascade", "0.5", "--cascade-score", "0.3", "--quiet", "-o", path("report.json")});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("first look: "));
  EXPECT_THAT(o.out, HasSubstr(" cells lost\n"));
  const Json loss = read_json(folder / "report.json")["cascade"];
  EXPECT_LE(loss["with_first_look"]["ap"], loss["all_tiles"]["ap"].get<double>() + 0.01);
  EXPECT_LE(loss["with_first_look"]["cells"], loss["all_tiles"]["cells"]);
  EXPECT_EQ(loss["truths"], 411);
  EXPECT_GT(loss["silent_tiles"], 0);
}

}  // namespace
}  // namespace cytodet::test
