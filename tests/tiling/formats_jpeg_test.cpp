// The direct way through tiled JPEG TIFFs: pixel-equal to OpenSlide's, shrunk inside the codec, each stored tile decoded once.
#include <cmath>
#include <map>
#include <sstream>

#include "tests/tiling/samples.h"
#include "tiling/slides/formats/block_cache.h"
#include "tiling/slides/formats/format_entries.h"
#include "tiling/tiles/grid.h"

namespace cytodet {
namespace {

void expect_equals_openslide(const std::filesystem::path& path) {
  const std::unique_ptr<Slide> ours = open_slide(path), peer = open_openslide(path.string());
  ASSERT_EQ(ours->levels.size(), peer->levels.size());
  for (size_t i = 0; i < ours->levels.size(); ++i) {
    SCOPED_TRACE("level " + std::to_string(i));
    EXPECT_EQ(ours->levels[i].width, peer->levels[i].width);
    EXPECT_EQ(ours->levels[i].height, peer->levels[i].height);
    EXPECT_DOUBLE_EQ(ours->levels[i].downsample, peer->levels[i].downsample);
    EXPECT_TRUE(read_whole(*ours, static_cast<int>(i)).rgb == read_whole(*peer, static_cast<int>(i)).rgb);
  }
}

TEST(FormatsJpeg, AperioSlidesOfEveryKind) {
  const auto folder = data_folder() / "tiling" / "svs";
  std::istringstream list(read_file(folder / "list.txt"));
  std::string name, row;
  int levels = 0, count = 0;
  while (list >> name >> row >> levels) {
    SCOPED_TRACE(name);
    std::unique_ptr<Slide> slide = open_slide(folder / name);
    EXPECT_EQ(slide->format, row);
    ASSERT_EQ(static_cast<int>(slide->levels.size()), levels);
    EXPECT_NEAR(slide->mpp_x.value_or(0), 0.252, 1e-9);
    EXPECT_EQ(slide->mpp_source, row == "svs" ? "aperio.MPP" : "openslide.mpp-x");
    for (int i = 0; i < levels; ++i)
      EXPECT_LE(largest_difference(read_whole(*slide, i).rgb, read_file(folder / (name + "." + std::to_string(i) + ".rgb"))), 1);
    expect_equals_openslide(folder / name);
    ++count;
  }
  EXPECT_GE(count, 7);
}

TEST(FormatsJpeg, EqualToOpenSlideOnShippedSlides) {
  for (const char* name : {"slides/cmu-1-small-region.svs", "slides/small.svs", "slides/blood-mosaic.tif",
                           "tiling/formats/jpeg_ycbcr.tif", "tiling/formats/jpeg_rgb.tif"}) {
    SCOPED_TRACE(name);
    expect_equals_openslide(data_folder() / name);
  }
}

Image downsampled(const Slide& s, int64_t x, int64_t y, int w, int h, int factor) {
  Image image((w + factor - 1) / factor, (h + factor - 1) / factor);
  s.read_downsampled(0, x, y, w, h, factor, image.rgb.data());
  return image;
}

Image mean_of(const Slide& s, int64_t x, int64_t y, int w, int h, int factor) {
  Image part(w, h), image((w + factor - 1) / factor, (h + factor - 1) / factor);
  s.read(0, x, y, w, h, part.rgb.data());
  downsample_by_mean(part, factor, image.rgb.data());
  return image;
}

double mean_difference(const Image& a, const Image& b) {
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(int{a.rgb[i]} - int{b.rgb[i]});
  return sum / static_cast<double>(a.rgb.size());
}

TEST(FormatsJpeg, ShrunkInsideTheCodecIsCloseToTheMean) {
  for (const char* name : {"slides/cmu-1-small-region.svs", "slides/blood-mosaic.tif"}) {
    std::unique_ptr<Slide> s = open_slide(data_folder() / name);
    for (int factor : {2, 4, 6, 8, 16}) {
      SCOPED_TRACE(std::string(name) + " / " + std::to_string(factor));
      const Image got = downsampled(*s, 240, 480, 701, 501, factor), want = mean_of(*s, 240, 480, 701, 501, factor);
      EXPECT_LT(mean_difference(got, want), 1.5);
      EXPECT_FALSE(got.rgb == want.rgb) << "the codec's own reduction was not used";
    }
    // Nothing the codec can do: the mean itself.
    EXPECT_TRUE(downsampled(*s, 240, 480, 300, 300, 3).rgb == mean_of(*s, 240, 480, 300, 300, 3).rgb);
    EXPECT_TRUE(downsampled(*s, 241, 480, 300, 301, 2).rgb == mean_of(*s, 241, 480, 300, 301, 2).rgb);
  }
  // Neither where the pixels are not JPEG.
  std::unique_ptr<Slide> deflate = open_slide(data_folder() / "slides/boxes.tiff");
  EXPECT_TRUE(downsampled(*deflate, 64, 64, 99, 77, 4).rgb == mean_of(*deflate, 64, 64, 99, 77, 4).rgb);
}

TEST(FormatsJpeg, ShrunkRegionsJoinWithoutSeams) {
  std::unique_ptr<Slide> s = open_slide(data_folder() / "slides/cmu-1-small-region.svs");
  const Image all = downsampled(*s, -8, -16, 1200, 900, 4);
  for (int y = 0; y < 4; ++y) EXPECT_EQ(all.row(y)[5], 255) << "outside is white";
  const Image part = downsampled(*s, 400, 200, 404, 300, 4);
  for (int y = 0; y < part.height; ++y)
    EXPECT_TRUE(std::equal(part.row(y), part.row(y) + part.width * 3, all.row(y + 54) + 102 * 3)) << y;
}

// A grid whose tiles start between the codec's pixels would miss its reduction: every tile start is a multiple of the factor.
TEST(FormatsJpeg, GridsOfShrunkTilesAreAligned) {
  std::unique_ptr<Slide> s = open_slide(data_folder() / "slides/cmu-1-small-region.svs");
  for (double scale : {0.5, 0.3, 0.25, 0.125}) {
    TilingSettings settings;
    settings.scale = scale;
    settings.tile_px = 100;
    settings.overlap_px = 33;
    const std::vector<Tile> tiles = make_grid(*s, settings);
    EXPECT_TRUE(tiles.back().slide_right && tiles.back().slide_bottom);
    for (const Tile& t : tiles) {
      EXPECT_EQ(t.x % t.downsample_factor, 0);
      EXPECT_EQ(t.y % t.downsample_factor, 0);
      const Image image = read_tile(*s, t), first = read_tile(*s, tiles[0]);
      EXPECT_EQ(image.width, first.width);
      EXPECT_EQ(image.height, first.height);
    }
  }
}

struct Blocks {
  explicit Blocks(int64_t held) : cache(held * 100) {}
  void touch(int64_t row, int64_t column) {
    cache.get({0, row, column}, [&] {
      ++decoded[{row, column}];
      return std::make_shared<std::vector<uint8_t>>(100);
    });
  }
  BlockCache cache;
  std::map<std::pair<int64_t, int64_t>, int> decoded;
};

// Rows of tiles 4 blocks high and wide, every other block shared with the next row: what is shared is kept though a row of tiles
// does not fit.
TEST(FormatsJpeg, OverlappingTilesDecodeEachBlockOnce) {
  constexpr int kWide = 102;
  Blocks blocks(kWide * 3);
  for (int y = 0; y < 40; y += 2)
    for (int x = 0; x + 4 <= kWide; x += 2)
      for (int i = 0; i < 16; ++i) blocks.touch(y + i / 4, x + i % 4);
  EXPECT_EQ(blocks.decoded.size(), 42u * kWide);
  for (const auto& [at, times] : blocks.decoded) EXPECT_EQ(times, 1) << at.first << ',' << at.second;
  EXPECT_LE(blocks.cache.bytes(), kWide * 300);
}

TEST(FormatsJpeg, BlocksLongUnusedMakeRoomForUpperOnes) {
  Blocks blocks(10);
  for (int i = 0; i < 10; ++i) blocks.touch(1000 + i, 0);
  for (int round = 0; round < 40; ++round)
    for (int i = 0; i < 5; ++i) blocks.touch(i, 0);
  for (int i = 0; i < 5; ++i) {
    const int before = blocks.decoded[{i, 0}];
    blocks.touch(i, 0);
    EXPECT_EQ((blocks.decoded[{i, 0}]), before) << "the lower blocks still hold the place";
  }
}

}  // namespace
}  // namespace cytodet
