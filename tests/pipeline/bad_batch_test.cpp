// Batches with slides that are damaged, or cannot be opened at all.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <map>

#include "pipeline/detect/image_pipeline.h"
#include "pipeline/inputs/list_inputs.h"
#include "tests/damaged.h"
#include "tests/pipeline/batch_runs.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(BatchRuns, HalfOfABatchIsCorrupt) {
  const std::string in = slides(6);
  std::vector<std::string> bad;
  const std::string image = read_file(kImages + "BloodImage_00007.jpg");
  for (int i = 0; i < 6; ++i) {
    const std::string name = "slides/zz" + std::to_string(i) + ".jpg";
    bad.push_back(put(name, i == 0  ? std::string()
                            : i < 3 ? std::string(500, static_cast<char>(i))
                                    : image.substr(0, 1000u * i)));
  }
  put("slides/notes.txt", "not a slide");
  const Output o = run(command("out", {in}));
  EXPECT_EQ(o.code, 3);
  EXPECT_EQ(o.errors().size(), 6u) << o.err;
  const RunState s = state("out");
  ASSERT_EQ(s.inputs.size(), 13u);
  EXPECT_EQ(s.count(ImageState::done), 6);
  EXPECT_EQ(s.count(ImageState::failed), 6);
  EXPECT_EQ(s.count(ImageState::skipped), 1) << "a text beside slides";
  for (const ImageResult& one : s.inputs) {
    EXPECT_EQ(std::count(bad.begin(), bad.end(), one.path) > 0, one.state == ImageState::failed) << one.path;
    EXPECT_EQ(one.reason.empty(), one.state == ImageState::done);
    EXPECT_EQ(std::filesystem::exists(RunFolder{folder / "out"}.boxes(one)), one.state == ImageState::done);
    if (one.state == ImageState::failed) {
      EXPECT_THAT(o.out, HasSubstr(one.reason)) << "the table at the end";
    }
  }
  EXPECT_THAT(o.out, HasSubstr("6 done, 6 failed, 1 skipped"));
}

TEST_F(BatchRuns, WhatCannotEvenBeOpenedIsNamed) {
  namespace fs = std::filesystem;
  const std::string in = slides(1);
  fs::create_symlink("/nowhere/slide.tif", folder / "slides/dangling.tif");
  fs::create_symlink("loop.tif", folder / "slides/loop.tif");
  fs::create_directories(folder / "slides/folder.svs");
  fs::create_directories(folder / "slides/notes");
  put("slides/.hidden", "x");
  ASSERT_EQ(::mkfifo(path("slides/pipe.tif").c_str(), 0600), 0);
  EXPECT_EQ(expand_inputs({in}), expand_inputs({in + "/*"}));
  const Output o = run(command("out", {in}));
  EXPECT_EQ(o.code, 3) << o.err;
  std::map<std::string, std::string> reasons;
  for (const ImageResult& s : state("out").inputs) reasons[s.name] = s.reason;
  EXPECT_EQ(reasons.size(), 5u);
  EXPECT_THAT(reasons["dangling"], HasSubstr("a link to a file that does not exist"));
  EXPECT_THAT(reasons["loop"], HasSubstr("cannot open: Too many levels of symbolic links"));
  EXPECT_THAT(reasons["folder"], HasSubstr("is a directory, not a slide"));
  EXPECT_THAT(reasons["pipe"], HasSubstr("is a pipe or device, not a slide"));
}

TEST_F(BatchRuns, DamagedTilesAreFilledCountedAndLimited) {
  const std::string bytes = read_file(kSlide);
  // No coarser level to fill it from.
  const std::string bad = put("bad.tif", damage_tiles(bytes, stored_tiles_of_tiff(bytes),
                                                      [](const StoredTile& t) { return t.level > 0 || t.index == 5 * 17 + 6; }));
  const std::vector<std::string> few{"--tile", "1280", "--max-bad-tiles"};
  Output o = run(command("strict", {bad, few[0], few[1]}));
  EXPECT_EQ(o.code, 1);
  ASSERT_EQ(o.errors().size(), 1u);
  EXPECT_THAT(o.errors()[0], HasSubstr("tiles damaged (--max-bad-tiles 5%): "));
  o = run(command("lax", {bad, few[0], few[1], few[2], "50%", "--overlay", "--outputs", "crops,heatmap"}));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(names(folder / "lax"), ::testing::IsSupersetOf({"bad.png", "bad.crops.png", "bad.heatmap.png"}));
  const ImageResult s = state("lax").inputs[0];
  EXPECT_GT(s.bad_tiles, 0);
  EXPECT_EQ(s.fallback_tiles + s.coarser_tiles, 0);
  EXPECT_THAT(s.damage, HasSubstr("stored tile at 1536,1280"));
  EXPECT_THAT(o.err, HasSubstr(damage_text(s)));
  ASSERT_EQ(run(command("good", {kSlide, few[0], few[1]})).code, 0);
  EXPECT_GT(s.detection_count, state("good").inputs[0].detection_count * 9 / 10) << "the rest of the slide is as it was";
  EXPECT_EQ(run(command("x", {bad, "--max-bad-tiles", "many"})).code, 2);
  EXPECT_EQ(bad_tile_limit("5%", 99), 4);
  EXPECT_EQ(bad_tile_limit("7", 3), 7);
  EXPECT_EQ(bad_tile_limit("0", 99), 0);
}

TEST_F(BatchRuns, ADamagedLevelFallsBackToAnother) {
  const std::string bytes = read_file(kSlide);
  const std::vector<StoredTile> tiles = stored_tiles_of_tiff(bytes);
  const std::string none = put("none0.tif", damage_tiles(bytes, tiles, [](const StoredTile&t) { return t.level == 0; })),
                    far = put("far.tif", damage_tiles(bytes, tiles, [](const StoredTile&t) { return t.level < 2; })),
                    one = put("one1.tif", damage_tiles(bytes, tiles, [](const StoredTile&t) { return t.level == 1; }));
  ASSERT_EQ(run(command("good", {kSlide, "--tile", "1280"})).code, 0);
  const int64_t boxes = state("good").inputs[0].detection_count;
  // Level 1 is half as fine; level 2, a quarter as fine, is no stand-in unless allowed.
  Output o = run(command("out", {none, far, "--tile", "1280"}));
  EXPECT_EQ(o.code, 3) << o.err;
  RunState s = state("out");
  EXPECT_EQ(s.inputs[0].state, ImageState::done) << s.inputs[0].reason;
  EXPECT_EQ(s.inputs[0].bad_tiles, 0);
  EXPECT_EQ(s.inputs[0].fallback_tiles, s.inputs[0].tiles);
  EXPECT_EQ(s.inputs[0].coarser_tiles, s.inputs[0].tiles);
  EXPECT_NEAR(static_cast<double>(s.inputs[0].detection_count), static_cast<double>(boxes), 0.2 * static_cast<double>(boxes));
  EXPECT_THAT(o.err, HasSubstr("tiles read from other levels ("));
  EXPECT_EQ(s.inputs[1].state, ImageState::failed);
  EXPECT_THAT(s.inputs[1].reason, HasSubstr("--max-bad-tiles"));
  EXPECT_THAT(run_table(s), HasSubstr(" from other levels; "));
  // A finer level is as good.
  o = run(command("finer", {one, "--level", "1", "--tile", "640"}));
  EXPECT_EQ(o.code, 0) << o.err;
  s = state("finer");
  EXPECT_EQ(s.inputs[0].fallback_tiles, s.inputs[0].tiles);
  EXPECT_EQ(s.inputs[0].bad_tiles + s.inputs[0].coarser_tiles, 0);
}

TEST_F(BatchRuns, ASlideThatLostItsLevelsIsStillCutIntoTilesAndReported) {
  const std::string whole = kSource + "/tests/data/slides/boxes.tiff", bytes = read_file(whole);
  const Output o = run(command("out", {whole, put("cut.tiff", bytes.substr(0, bytes.size() / 2))}));
  EXPECT_EQ(o.code, 0) << o.err;
  const RunState s = state("out");
  EXPECT_TRUE(s.inputs[1].tiled) << "one level is left";
  EXPECT_EQ(s.inputs[1].detection_count, s.inputs[0].detection_count);
  EXPECT_EQ(s.inputs[0].damage, "");
  EXPECT_THAT(s.inputs[1].damage, HasSubstr("levels may be missing"));
  EXPECT_EQ(s.inputs[1].damage.find("cut.tiff"), std::string::npos) << "the file is named once, by who reports it";
  EXPECT_THAT(o.err, HasSubstr("levels may be missing"));
}

}  // namespace
}  // namespace cytodet::test
