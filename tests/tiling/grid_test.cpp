#include "tiling/tiles/grid.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "tests/error_of.h"
#include "tests/tiling/samples.h"

namespace cytodet {
namespace {

using testing::HasSubstr;

// A pyramid without pixels of its own: each is a function of its place.
class Made : public Slide {
 public:
  Made(int64_t w, int64_t h, int count, double factor = 2) {
    for (int i = 0; i < count; ++i) {
      const double down = std::pow(factor, i);
      const int64_t lw = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(w) / down)),
                    lh = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(h) / down));
      levels.push_back(
          {lw, lh, (static_cast<double>(w) / static_cast<double>(lw) + static_cast<double>(h) / static_cast<double>(lh)) / 2});
    }
  }
  static uint8_t value(int64_t x, int64_t y) { return static_cast<uint8_t>((x * 7 + y * 13) % 251); }
  void read(int, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    for (int64_t r = 0; r < h; ++r)
      for (int64_t c = 0; c < w; ++c)
        for (int k = 0; k < 3; ++k) *rgb++ = value(x + c, y + r);
  }
};

TEST(Grid, CoversEveryPixelOnRandomSlides) {
  std::mt19937 random(11);
  auto between = [&](int a, int b) { return std::uniform_int_distribution<int>(a, b)(random); };
  for (int round = 0; round < 400; ++round) {
    Made slide(between(1, 3000), between(1, 3000), between(1, 4), round % 3 ? 2.0 : 2.7);
    TilingSettings s;
    s.tile_px = between(16, 700);
    s.overlap_px = between(0, s.tile_px / 2);
    if (round % 4 == 1) s.level = between(0, static_cast<int>(slide.levels.size()) - 1);
    if (round % 4 == 2) s.scale = between(5, 100) / 100.0;
    const std::vector<Tile> tiles = make_grid(slide, s);
    ASSERT_FALSE(tiles.empty());
    const LevelInfo& l = slide.levels[static_cast<size_t>(tiles[0].level)];
    // Rows and columns are the same everywhere, so the axes are checked apart.
    std::vector<uint8_t> column(static_cast<size_t>(l.width), 0), row(static_cast<size_t>(l.height), 0);
    size_t lefts = 0, tops = 0, rights = 0, bottoms = 0;
    for (size_t i = 0; i < tiles.size(); ++i) {
      const Tile& t = tiles[i];
      ASSERT_EQ(t.index, static_cast<int>(i));
      ASSERT_EQ(t.level, tiles[0].level);
      ASSERT_GE(t.x, 0);
      ASSERT_GE(t.y, 0);
      ASSERT_LE(t.x + t.width, l.width);
      ASSERT_LE(t.y + t.height, l.height);
      const auto pixels = [&](int side) { return (side + t.downsample_factor - 1) / t.downsample_factor; };
      ASSERT_EQ(pixels(t.width), pixels(tiles[0].width)) << "all tiles of a slide have one size";
      ASSERT_EQ(pixels(t.height), pixels(tiles[0].height));
      for (int x = 0; x < t.width; ++x) column[static_cast<size_t>(t.x + x)] = 1;
      for (int y = 0; y < t.height; ++y) row[static_cast<size_t>(t.y + y)] = 1;
      ASSERT_EQ(t.slide_left, t.x == 0);
      ASSERT_EQ(t.slide_right, t.x + t.width == l.width);
      lefts += t.slide_left;
      tops += t.slide_top;
      rights += t.slide_right;
      bottoms += t.slide_bottom;
      ASSERT_NEAR(t.area.x0, static_cast<double>(t.x) * l.downsample, 1e-6);
      ASSERT_LE(t.area.x1, static_cast<double>(slide.width()));
      ASSERT_LE(t.area.y1, static_cast<double>(slide.height()));
      ASSERT_LT(t.area.x0, t.area.x1);
    }
    ASSERT_EQ(std::count(column.begin(), column.end(), 0), 0);
    ASSERT_EQ(std::count(row.begin(), row.end(), 0), 0);
    ASSERT_EQ(lefts, rights);
    ASSERT_EQ(tops, bottoms);
    ASSERT_EQ(tiles.size() % lefts, 0u);
    ASSERT_EQ(tiles.back().area.x1, static_cast<double>(slide.width()));
    ASSERT_EQ(tiles.back().area.y1, static_cast<double>(slide.height()));
  }
}

TEST(Grid, NeighboursShareAtLeastTheOverlap) {
  Made slide(4120, 3160, 1);
  const std::vector<Tile> tiles = make_grid(slide, {640, 160});
  ASSERT_EQ(tiles.size(), 63u);
  for (size_t i = 1; i < 9; ++i) EXPECT_GE(tiles[i - 1].x + 640 - tiles[i].x, 160);
  EXPECT_EQ(tiles[8].x, 4120 - 640) << "the last column is shifted inwards";
  EXPECT_EQ(tiles[62].y, 3160 - 640);
}

TEST(Grid, TheLastRowAndColumnAreAsSmallAsTheShapeAllows) {
  Made slide(4120, 3160, 1);
  TilingSettings s{640, 160};
  const TileShape quarters{1, 0.25, 0.25};
  EXPECT_EQ(make_grid(slide, s, quarters).back().width, 640) << "only where it is asked for";
  s.fit_edges = true;
  const std::vector<Tile> tiles = make_grid(slide, s, quarters);
  ASSERT_EQ(tiles.size(), 63u);
  for (const Tile& t : tiles) {
    EXPECT_EQ(t.width, t.slide_right ? 320 : 640) << "280 pixels are left, 160 are a step";
    EXPECT_EQ(t.height, t.slide_bottom ? 320 : 640);
    EXPECT_EQ(t.side, 640) << "their scale is that of the others";
  }
  EXPECT_EQ(tiles[8].x, 4120 - 320);
  EXPECT_GE(tiles[7].x + 640 - tiles[8].x, 160);
  // On any slide each tile but the last is whole, and the last pair shares at least the overlap.
  std::mt19937 random(5);
  const auto between = [&](int a, int b) { return std::uniform_int_distribution<int>(a, b)(random); };
  for (int round = 0; round < 300; ++round) {
    Made any(between(1, 3000), between(1, 3000), between(1, 3));
    s.tile_px = between(16, 700);
    s.overlap_px = between(0, s.tile_px / 2);
    s.scale = round % 2 ? std::optional<double>(between(5, 100) / 100.0) : std::nullopt;
    const std::vector<Tile> row = make_grid(any, s, {1, 1.0 / between(1, 8), 1.0 / between(1, 8)});
    const LevelInfo& level = any.levels[static_cast<size_t>(row[0].level)];
    int64_t end = 0;
    for (const Tile& t : row) {
      if (!t.slide_top) break;
      ASSERT_LE(t.x, end);
      if (t.slide_left || t.slide_right)
        ASSERT_LE(t.width, row[0].width);
      else
        ASSERT_EQ(t.width, row[0].width);
      end = t.x + t.width;
    }
    ASSERT_EQ(end, level.width);
  }
}

TEST(Grid, TilesHaveTheShapeOfTheNetwork) {
  Made slide(4000, 3000, 1);
  const std::vector<Tile> tiles = make_grid(slide, {1280, 160}, {0.5, 0, 0});
  EXPECT_EQ(tiles[0].width, 1280);
  EXPECT_EQ(tiles[0].height, 640);
  EXPECT_EQ(tiles[0].side_y, 640);
  EXPECT_THAT(cytodet::error_of([&] {
                make_grid(slide, {1280, 500}, {0.5, 0, 0});
              }),
              HasSubstr("three quarters of a tile's height"));
}

TEST(Grid, ASlideSmallerThanATileIsOneTile) {
  Made slide(100, 30, 1);
  const std::vector<Tile> tiles = make_grid(slide, {640, 160});
  ASSERT_EQ(tiles.size(), 1u);
  const Tile& t = tiles[0];
  EXPECT_EQ(t.width, 100);
  EXPECT_EQ(t.height, 30);
  EXPECT_EQ(t.side, 640);
  EXPECT_TRUE(t.slide_left && t.slide_top && t.slide_right && t.slide_bottom);
  EXPECT_EQ(t.area, (Box{0, 0, 100, 30}));
}

TEST(Grid, TakesTheCoarsestLevelThatHoldsTheResolution) {
  Made slide(8000, 6000, 4);  // 1, 2, 4, 8
  auto level = [&](double scale) {
    TilingSettings s;
    s.scale = scale;
    return make_grid(slide, s)[0].level;
  };
  EXPECT_EQ(level(1), 0);
  EXPECT_EQ(level(0.6), 0);
  EXPECT_EQ(level(0.5), 1);
  EXPECT_EQ(level(0.3), 1);
  EXPECT_EQ(level(0.25), 2);
  EXPECT_EQ(level(0.01), 3);
  slide.mpp_x = 0.25;
  TilingSettings s;
  s.mpp = 0.5;
  EXPECT_EQ(make_grid(slide, s)[0].level, 1);
  EXPECT_NEAR(make_grid(slide, s)[0].side, 1280, 1e-9);
}

TEST(Grid, ALevelFinerThanNeededIsAveraged) {
  Made slide(1000, 700, 1);
  TilingSettings s;
  s.tile_px = 64;
  s.overlap_px = 16;
  s.scale = 0.25;
  for (const Tile& t : make_grid(slide, s)) {
    ASSERT_EQ(t.downsample_factor, 4);
    ASSERT_EQ(t.width, 256);
    ASSERT_EQ(t.pixel, 4);
    const Image image = read_tile(slide, t);
    ASSERT_EQ(image.width, 64);
    ASSERT_EQ(image.height, 64);
    for (int y = 0; y < 64; y += 21)
      for (int x = 0; x < 64; x += 21) {
        int sum = 0;
        for (int i = 0; i < 16; ++i) sum += Made::value(t.x + x * 4 + i % 4, t.y + y * 4 + i / 4);
        ASSERT_EQ(image.row(y)[x * 3], (sum + 8) / 16);
      }
  }
  // Larger than a band, and not a multiple of the shrinking.
  Tile whole;
  Made wide(5003, 3001, 1);
  whole.width = 5003;
  whole.height = 3001;
  whole.downsample_factor = 3;
  const Image image = read_tile(wide, whole);
  EXPECT_EQ(image.width, 1668);
  EXPECT_EQ(image.height, 1001);
  EXPECT_EQ(image.row(1000)[1667 * 3], (Made::value(5001, 3000) + Made::value(5002, 3000) + 1) / 2);
}

TEST(Grid, ImpossibleSettingsNameTheirKey) {
  Made slide(1000, 1000, 2);
  auto refused = [&](auto change) {
    TilingSettings s;
    change(s);
    return error_of([&] { make_grid(slide, s); });
  };
  EXPECT_THAT(refused([](auto& s) { s.tile_px = 0; }), HasSubstr("tiling.tile_px"));
  EXPECT_THAT(refused([](auto& s) { s.overlap_px = 639; }), HasSubstr("tiling.overlap_px"));
  EXPECT_THAT(refused([](auto& s) { s.level = 2; }), HasSubstr("use 0 to 1"));
  EXPECT_THAT(refused([](auto& s) { s.mpp = 0.5; }), HasSubstr("--assume-mpp"));
  EXPECT_THAT(refused([](auto& s) { s.scale = 0; }), HasSubstr("tiling.scale"));
  EXPECT_THAT(refused([](auto& s) { s.scale = std::nan(""); }), HasSubstr("tiling.scale"));
  EXPECT_THAT(refused([](auto& s) { s.level = 0, s.scale = 1; }), HasSubstr("exclude each other"));
  Made endless(int64_t{1} << 31, int64_t{1} << 31, 1);
  EXPECT_THAT(error_of([&] { make_grid(endless, {}); }), HasSubstr("tiles"));
}

}  // namespace
}  // namespace cytodet
