// info and doctor.
#include <cstdlib>

#include "core/settings.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

class Info : public ProgramTest {
 protected:
  const std::string data = kSource + "/tests/data/";
  bool has(const std::string& text, const std::string& part) const { return text.find(part) != std::string::npos; }
};

TEST_F(Info, SaysWhatASlideHolds) {
  const Output o = run({"info", data + "slides/cmu-1-small-region.svs", "--tile", "640", "--overlap", "160"});
  EXPECT_EQ(o.code, 0) << o.err;
  for (const char* part : {"format    svs", "2220 x 2967 pixels, 1.11 x 1.48 mm", "0.499 x 0.499 (aperio.MPP)",
                           "1:1, JPEG, 10 x 13 stored tiles of 240 x 240", "tiles     30 of 640 px, overlap 160", "s to read on"})
    EXPECT_TRUE(has(o.out, part)) << part << " is missing in\n" << o.out;
}

TEST_F(Info, JsonOfEveryKindOfSlide) {
  const Output o = run({"info", "--json", data + "slides/blood-mosaic.tif", data + "tiling/kfb/sample.kfb",
                        data + "tiling/svs/jpeg2000.svs", data + "tiling/formats/rgb.png"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json j = parse_json(o.out, "info");
  ASSERT_EQ(j.size(), 4u);
  EXPECT_EQ(j[0]["format"], "tiff");
  EXPECT_EQ(j[0]["levels"].size(), 6u);
  EXPECT_EQ(j[0]["tiles"]["count"], 63);
  EXPECT_EQ(j[0]["mpp_source"], "TIFF XResolution");
  EXPECT_GT(j[0]["estimate"]["seconds"].get<double>(), 0);
  EXPECT_GE(j[0]["estimate"]["memory_bytes"].get<int64_t>(), int64_t{64} << 20);
  EXPECT_TRUE(j[0]["estimate"]["network_ms_per_tile"].is_null());
  EXPECT_EQ(j[1]["format"], "kfb");
  EXPECT_EQ(j[1]["levels"][0]["tile_width"], 64);
  EXPECT_EQ(j[2]["format"], "openslide");
  EXPECT_EQ(j[2]["levels"][0]["tile_width"], 32);
  EXPECT_EQ(j[3]["format"], "png");
  EXPECT_TRUE(j[3]["mpp_x"].is_null());
}

TEST_F(Info, TheModelIsMeasured) {
  const Output o = run({"info", "--json", "--model", kModel, data + "slides/blood-mosaic.tif"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json e = parse_json(o.out, "info")[0]["estimate"];
  EXPECT_GT(e["network_ms_per_tile"].get<double>(), 0);
  EXPECT_NEAR(e["seconds"].get<double>() * e["streams"].get<double>() * 1000 / 63,
              e["network_ms_per_tile"].get<double>() + e["read_ms_per_tile"].get<double>(), 1e-6);
}

TEST_F(Info, BadSlidesAreNamedAndTheOthersShown) {
  const std::string bad = put("bad.tif", "II*\0nothing"), good = data + "tiling/formats/rgb.png";
  Output o = run({"info", bad, good});
  EXPECT_EQ(o.code, 3);
  ASSERT_EQ(o.errors().size(), 1u);
  EXPECT_TRUE(o.errors()[0].starts_with(bad + ": ")) << o.err;
  EXPECT_TRUE(has(o.out, "format    png"));
  EXPECT_EQ(run({"info", bad}).code, 1);
  EXPECT_EQ(run({"info", good, "--tile", "3"}).code, 2);
  // A slide that opens, but whose tiles are damaged; a resolution that it cannot give.
  EXPECT_TRUE(
      has(run({"info", data + "corrupt/unreadable.svs"}).out, "estimate  none: level 0, stored tile at 0,0: damaged JPEG"));
  EXPECT_TRUE(has(run({"info", good, "--mpp", "0.5"}).out, "tiles     none: "));
  // Level 0 comes first in the file; the others are cut off.
  const std::string boxes = read_file(data + "slides/boxes.tiff"), cut = put("cut.tiff", boxes.substr(0, boxes.size() / 2));
  EXPECT_TRUE(has(run({"info", cut}).out, "damage    damaged TIFF: its chain of images breaks off, levels may be missing: "));
}

TEST_F(Info, DoctorFindsThisMachineWell) {
  const Output o = run({"doctor", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const Json j = parse_json(o.out, "doctor");
  EXPECT_EQ(j["ok"], true);
  EXPECT_GE(j["cores"].get<int>(), 1);
  EXPECT_GE(j["effective_cores"].get<double>(), 0);
  EXPECT_LE(j["effective_cores"].get<double>(), 1.05 * j["cores"].get<int>());
  EXPECT_LE(j["core_to_core_ns"].get<double>(), 20000);
  EXPECT_GT(j["memory_bytes"].get<int64_t>(), 0);
  EXPECT_EQ(j["checks"].size(), 3u);
  for (const auto& [name, version] : j["libraries"].items()) EXPECT_TRUE(std::isdigit(version.get<std::string>()[0])) << name;
  const Output text = run({"doctor"});
  for (const char* part : {"ok         kernels: ", "ok         jpeg: ", "ok         temporary folder: ", "libraries  OpenSlide "})
    EXPECT_TRUE(has(text.out, part)) << part << " is missing in\n" << text.out;
}

TEST_F(Info, DoctorFindsWhatIsWrong) {
  ::setenv("TMPDIR", path("none").c_str(), 1);
  const Output o = run({"doctor"});
  ::unsetenv("TMPDIR");
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(has(o.out, "FAILED     temporary folder: ")) << o.out;
  ASSERT_EQ(o.errors().size(), 1u);
  EXPECT_TRUE(o.errors()[0].starts_with("doctor: temporary folder: ")) << o.err;
}

// The kernel set named is the one that the cap leaves.
TEST_F(Info, DoctorRespectsTheCap) {
  ::setenv("CYTODET_MAX_ISA", "baseline", 1);
  const Output o = run({"doctor", "--json"});
  ::unsetenv("CYTODET_MAX_ISA");
  EXPECT_EQ(o.code, 0);
  EXPECT_EQ(parse_json(o.out, "doctor")["isa"], "baseline");
}

}  // namespace
}  // namespace cytodet::test
