// Damaged tiles: what can be read is, from where it can be.
#include "tiling/tiles/tile_reading.h"

#include <gmock/gmock.h>

#include <atomic>

#include "tests/damaged.h"
#include "tests/tiling/kfb_writer.h"
#include "tests/tiling/samples.h"
#include "tiling/slides/formats/block_slide.h"
#include "tiling/slides/formats/format_entries.h"

namespace cytodet {
namespace {

// Three levels of one smooth image, with damaged rectangles of which no read may touch a pixel.
class Damaged : public Slide {
 public:
  struct Hole {
    int level;
    Box area;  // pixels of the level
  };
  using Holes = std::vector<Hole>;
  explicit Damaged(Holes holes) : holes_(std::move(holes)) { levels = {{4096, 4096, 1.0}, {2048, 2048, 2.0}, {512, 512, 8.0}}; }
  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    for (const Hole& hole : holes_)
      if (hole.level == level && intersection(hole.area, {double(x), double(y), double(x + w), double(y + h)}) > 0)
        throw Error("", "level " + std::to_string(level) + " is damaged");
    const double down = levels[static_cast<size_t>(level)].downsample;
    for (int r = 0; r < h; ++r)
      for (int c = 0; c < w; ++c, rgb += 3) {
        rgb[0] = static_cast<uint8_t>(static_cast<int>((static_cast<double>(x + c) + 0.5) * down / 32));
        rgb[1] = static_cast<uint8_t>(static_cast<int>((static_cast<double>(y + r) + 0.5) * down / 32));
        rgb[2] = 7;
      }
  }

 private:
  Holes holes_;
};

Tile tile_at(int level, int64_t x, int64_t y, int side, int factor = 1) {
  Tile t;
  t.level = level;
  t.x = x;
  t.y = y;
  t.width = t.height = side;
  t.downsample_factor = factor;
  return t;
}

int worst_difference(const Image& a, const Image& b) {
  int most = a.width == b.width && a.height == b.height ? 0 : 256;
  for (size_t i = 0; most < 256 && i < a.rgb.size(); ++i) most = std::max(most, std::abs(int{a.rgb[i]} - int{b.rgb[i]}));
  return most;
}

TEST(TileReading, WholeTilesAreReadAsTheyAre) {
  const Damaged slide(Damaged::Holes{});
  const TileImage t = read_tile_tolerant(slide, tile_at(1, 100, 200, 300));
  EXPECT_FALSE(t.damaged || t.fell_back);
  EXPECT_TRUE(t.damage.empty());
  EXPECT_EQ(t.image.rgb, read_tile(slide, tile_at(1, 100, 200, 300)).rgb);
}

TEST(TileReading, AFinerLevelStandsIn) {
  const Damaged good(Damaged::Holes{});
  for (const Tile& tile :
       {tile_at(1, 100, 200, 300), tile_at(2, 64, 32, 128), tile_at(2, 64, 32, 128, 2), tile_at(1, 11, 21, 97, 3)}) {
    const Damaged bad(Damaged::Holes{{tile.level, {0, 0, 4096, 4096}}});
    const TileImage t = read_tile_tolerant(bad, tile);
    EXPECT_TRUE(t.fell_back);
    EXPECT_FALSE(t.damaged);
    EXPECT_THAT(t.damage, ::testing::HasSubstr("is damaged"));
    EXPECT_LE(worst_difference(t.image, read_tile(good, tile)), 1);
  }
  // If the next level is damaged too, the one after it is taken.
  const Damaged both(Damaged::Holes{{2, {0, 0, 512, 512}}, {1, {0, 0, 2048, 2048}}});
  const TileImage t = read_tile_tolerant(both, tile_at(2, 64, 32, 128));
  EXPECT_TRUE(t.fell_back);
  EXPECT_LE(worst_difference(t.image, read_tile(good, tile_at(2, 64, 32, 128))), 1);
}

// Reads of the coarser level hold a margin for interpolation, which the image's ramps forgive.
TEST(TileReading, TheDamagedPartIsFilledFromTheNextCoarserLevelThatReads) {
  const Damaged good(Damaged::Holes{});
  for (int factor : {1, 2})
    for (int levels : {1, 2}) {
      Damaged::Holes holes{{0, {256, 256, 512, 512}}};
      if (levels == 2) holes.push_back({1, {0, 0, 2048, 2048}});
      const Damaged bad(holes);
      const Tile tile = tile_at(0, 100, 100, 640, factor);
      const TileImage t = read_tile_tolerant(bad, tile);
      EXPECT_TRUE(t.fell_back && t.coarser);
      EXPECT_EQ(t.damaged, levels == 2) << "over twice as coarse as wanted: 8 to 1, 8 to 2";
      EXPECT_LE(worst_difference(t.image, read_tile(good, tile)), 1) << "shrink " << factor << ", levels " << levels;
      EXPECT_THAT(t.damage, ::testing::HasSubstr("level 0 is damaged"));
    }
}

TEST(TileReading, OnlyWhatNoLevelHoldsIsWhite) {
  const Damaged good(Damaged::Holes{});
  const Damaged bad(Damaged::Holes{{0, {256, 256, 512, 512}}, {1, {0, 0, 2048, 2048}}, {2, {0, 0, 512, 512}}});
  for (int factor : {1, 2}) {
    const Tile tile = tile_at(0, 100, 100, 640, factor);
    const Image whole = read_tile(good, tile);
    const TileImage t = read_tile_tolerant(bad, tile);
    ASSERT_TRUE(t.damaged);
    EXPECT_FALSE(t.fell_back || t.coarser || t.empty);
    int wrong = 0;
    for (int y = 0; y < t.image.height; ++y)
      for (int x = 0; x < t.image.width; ++x) {
        const int lx = 100 + x * factor, ly = 100 + y * factor;
        const bool hole = lx >= 256 && lx < 512 && ly >= 256 && ly < 512;
        wrong += std::abs(t.image.row(y)[3 * x] - (hole ? 255 : whole.row(y)[3 * x])) > 1;
      }
    EXPECT_EQ(wrong, 0) << "shrink " << factor;
  }
  const TileImage t = read_tile_tolerant(
      Damaged(Damaged::Holes{{0, {0, 0, 4096, 4096}}, {1, {0, 0, 2048, 2048}}, {2, {0, 0, 512, 512}}}), tile_at(0, 9, 9, 200));
  EXPECT_TRUE(t.damaged && t.empty);
  EXPECT_TRUE(std::all_of(t.image.rgb.begin(), t.image.rgb.end(), [](uint8_t v) { return v == 255; }));
}

// A hole in the own level and others in the finer ones: each part from the best that holds it.
TEST(TileReading, EachPartIsFromTheBestLevelThatHoldsIt) {
  const Damaged good(Damaged::Holes{});
  const Damaged bad(Damaged::Holes{{1, {0, 0, 128, 128}}, {0, {0, 0, 128, 256}}});
  const Tile tile = tile_at(1, 0, 0, 256);
  const TileImage t = read_tile_tolerant(bad, tile);
  EXPECT_TRUE(t.fell_back && t.coarser);
  EXPECT_TRUE(t.damaged) << "level 2 is four times as coarse";
  // A level without anything: what the finer one lacks is all that is coarse.
  const Damaged none(Damaged::Holes{{1, {0, 0, 2048, 2048}}, {0, {128, 128, 256, 256}}, {2, {0, 0, 512, 512}}});
  const Image whole = read_tile(good, tile), filled = read_tile_tolerant(none, tile).image;
  int white = 0, wrong = 0;
  for (int y = 0; y < 256; ++y)
    for (int x = 0; x < 256; ++x) {
      const bool hole = x >= 64 && x < 128 && y >= 64 && y < 128;
      white += filled.row(y)[3 * x + 2] == 255;
      wrong += !hole && std::abs(filled.row(y)[3 * x] - whole.row(y)[3 * x]) > 1;
    }
  EXPECT_EQ(white, 64 * 64);
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(worst_difference(t.image, read_tile(good, tile)), 1);
}

// Rows of one pixel, as wide as the slide: they are read many at a time, and what failed is not tried again for the next tile.
TEST(TileReading, StoredPiecesThatFailedAreTriedOnce) {
  class Rows : public BlockSlide {
   public:
    Rows() {
      levels = {{4096, 4096, 1.0, 4096, 1, "test"}};
      start_cache();
    }
    mutable std::atomic<int> tried = 0;

   private:
    Block decode(Resolution, int64_t, int64_t row) const override {
      ++tried;
      if (row % 2) throw Error("", "is damaged");
      return std::make_shared<std::vector<uint8_t>>(4096 * 3, uint8_t{9});
    }
    bool reduces(int) const override { return false; }
  } slide;
  for (int64_t x : {0, 500, 3000})
    for (int64_t y : {0, 300}) {
      const TileImage t = read_tile_tolerant(slide, tile_at(0, x, y, 640));
      EXPECT_TRUE(t.damaged && t.empty) << "each piece of 64 rows has damaged ones";
      EXPECT_THAT(t.damage, ::testing::EndsWith(": is damaged"));
    }
  EXPECT_LE(slide.tried, 940);
}

// Real files, through each reader of stored tiles.
struct TiledSample {
  const char* name;
  std::string bytes;
  std::vector<StoredTile> tiles;
  std::unique_ptr<Slide> (*open)(const std::string& path, const ImageSelection& selection);
  int levels;
};

std::vector<TiledSample> samples() {
  const std::string tiff = read_file(data_folder() / "slides/blood-mosaic.tif");
  std::unique_ptr<Slide> mosaic = open_slide(data_folder() / "slides/blood-mosaic.tif");
  Image part(1000, 800);
  mosaic->read(0, 700, 600, part.width, part.height, part.rgb.data());
  KfbWriter writer;
  const std::string kfb = writer.write(part);
  return {{"tiff", tiff, stored_tiles_of_tiff(tiff), open_tiff, 6},
          {"openslide", tiff, stored_tiles_of_tiff(tiff), open_openslide, 6},
          {"kfb", kfb, stored_tiles_of_kfb(kfb), open_kfb, 3}};
}

double mean_of_differences(const Image& a, const Image& b) {
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(int{a.rgb[i]} - int{b.rgb[i]});
  return sum / static_cast<double>(a.rgb.size());
}

TEST(TileReading, AWhollyDamagedLevelOfAFileFallsBackToAnother) {
  ScratchFolder scratch;
  for (const TiledSample& s : samples()) {
    write_file(scratch.path / "good", s.bytes);
    std::unique_ptr<Slide> good = s.open((scratch.path / "good").string(), {});
    ASSERT_EQ(good->levels.size(), static_cast<size_t>(s.levels)) << s.name;
    for (int level : {0, 1, 2}) {
      SCOPED_TRACE(std::string(s.name) + ", level " + std::to_string(level));
      const auto path = scratch.path / ("bad" + std::to_string(level));
      write_file(path, damage_tiles(s.bytes, s.tiles, [&](const StoredTile& t) { return t.level == level; }));
      std::unique_ptr<Slide> bad = s.open(path.string(), {});
      TilingSettings tiling;
      tiling.level = level;
      for (const Tile& tile : make_grid(*bad, tiling)) {
        if (tile.index % 7) continue;
        const TileImage t = read_tile_tolerant(*bad, tile);
        ASSERT_TRUE(t.fell_back) << t.damage;
        EXPECT_EQ(t.coarser, level == 0);
        EXPECT_FALSE(t.damaged);
        EXPECT_LT(mean_of_differences(t.image, read_tile(*good, tile)), 8) << tile.index;
      }
    }
  }
}

TEST(TileReading, OneStoredTileOfAFileIsFilledAndTheOthersStayAsTheyAre) {
  ScratchFolder scratch;
  for (const TiledSample& s : samples()) {
    SCOPED_TRACE(s.name);
    write_file(scratch.path / "good", s.bytes);
    std::unique_ptr<Slide> good = s.open((scratch.path / "good").string(), {});
    const int64_t side = good->levels[0].tile_width, columns = (good->width() + side - 1) / side;
    ASSERT_GT(side, 0);
    const int64_t column = 5, row = 4;
    const Box hole{double(column * side), double(row * side), double((column + 1) * side), double((row + 1) * side)};
    for (bool others_too : {false, true}) {
      const auto path = scratch.path / (others_too ? "bad2" : "bad1");
      write_file(path, damage_tiles(s.bytes, s.tiles, [&](const StoredTile& t) {
                   return t.level == 0 ? t.index == row * columns + column : others_too;
                 }));
      std::unique_ptr<Slide> bad = s.open(path.string(), {});
      int filled = 0, wrong = 0;
      double worst_fill = 0;
      for (const Tile& tile : make_grid(*bad, {})) {
        const bool meets = intersection(tile.area, hole) > 0;
        if (!meets && tile.index % 5) continue;
        const TileImage t = read_tile_tolerant(*bad, tile);
        EXPECT_EQ(t.damaged, meets && others_too);
        EXPECT_EQ(t.fell_back, meets && !others_too);
        EXPECT_EQ(t.damage.empty(), !meets);
        const Image whole = read_tile(*good, tile);
        double sum = 0, in_hole = 0;
        for (int y = 0; y < t.image.height; ++y)
          for (int x = 0; x < t.image.width; ++x) {
            const uint8_t *p = t.image.row(y) + 3 * x, *q = whole.row(y) + 3 * x;
            const double px = static_cast<double>(tile.x + x), py = static_cast<double>(tile.y + y);
            if (px >= hole.x0 && px < hole.x1 && py >= hole.y0 && py < hole.y1) {
              sum += std::abs(p[0] - (others_too ? 255 : q[0]));
              ++in_hole;
            } else {
              wrong += p[0] != q[0] || p[1] != q[1] || p[2] != q[2];
            }
          }
        filled += meets;
        worst_fill = std::max(worst_fill, sum / std::max(1.0, in_hole));
      }
      EXPECT_GT(filled, 0);
      EXPECT_EQ(wrong, 0);
      EXPECT_LT(worst_fill, others_too ? 1e-9 : 8.0);
    }
  }
}

TEST(TileReading, ImagesAreFilledAndStayWhiteOutsideTheSlide) {
  const Damaged good(Damaged::Holes{});
  const std::unique_ptr<Slide> filled = with_damage_filled(std::make_shared<Damaged>(Damaged::Holes{{0, {0, 0, 4096, 4096}}}));
  Image part(300, 200), whole(300, 200);
  filled->read(0, -100, -50, part.width, part.height, part.rgb.data());
  good.read(0, -100, -50, whole.width, whole.height, whole.rgb.data());
  for (int y = 0; y < part.height; ++y)
    for (int x = 0; x < part.width; ++x) {
      const bool outside = x < 100 || y < 50;
      ASSERT_NEAR(part.row(y)[3 * x + 2], outside ? 255 : 7, 0) << x << "," << y;
      if (!outside) {
        ASSERT_NEAR(part.row(y)[3 * x], whole.row(y)[3 * x], 1);
      }
    }
}

}  // namespace
}  // namespace cytodet
