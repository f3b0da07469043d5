// Damaged tiles: what can be read is, from where it can be.
#include "tiling/tile_reading.h"

#include <gmock/gmock.h>

#include "tests/tiling/samples.h"

namespace cytodet {
namespace {

// Three levels of one smooth picture, with damaged rectangles of which no read may touch a pixel.
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
        rgb[0] = static_cast<uint8_t>((static_cast<double>(x + c) + 0.5) * down / 32);
        rgb[1] = static_cast<uint8_t>((static_cast<double>(y + r) + 0.5) * down / 32);
        rgb[2] = 7;
      }
  }

 private:
  Holes holes_;
};

Tile tile_at(int level, int64_t x, int64_t y, int side, int shrink = 1) {
  Tile t;
  t.level = level;
  t.x = x;
  t.y = y;
  t.width = t.height = side;
  t.shrink = shrink;
  return t;
}

int worst(const Image& a, const Image& b) {
  int most = a.width == b.width && a.height == b.height ? 0 : 256;
  for (size_t i = 0; most < 256 && i < a.rgb.size(); ++i) most = std::max(most, std::abs(int{a.rgb[i]} - int{b.rgb[i]}));
  return most;
}

TEST(TileReading, WholeTilesAreReadAsTheyAre) {
  const Damaged slide(Damaged::Holes{});
  const TileImage t = read_tile_anyway(slide, tile_at(1, 100, 200, 300));
  EXPECT_FALSE(t.damaged || t.fell_back);
  EXPECT_TRUE(t.damage.empty());
  EXPECT_EQ(t.image.rgb, read_tile(slide, tile_at(1, 100, 200, 300)).rgb);
}

TEST(TileReading, AFinerLevelStandsIn) {
  const Damaged good(Damaged::Holes{});
  for (const Tile& tile :
       {tile_at(1, 100, 200, 300), tile_at(2, 64, 32, 128), tile_at(2, 64, 32, 128, 2), tile_at(1, 11, 21, 97, 3)}) {
    const Damaged bad(Damaged::Holes{{tile.level, {0, 0, 4096, 4096}}});
    const TileImage t = read_tile_anyway(bad, tile);
    EXPECT_TRUE(t.fell_back);
    EXPECT_FALSE(t.damaged);
    EXPECT_THAT(t.damage, ::testing::HasSubstr("is damaged"));
    EXPECT_LE(worst(t.image, read_tile(good, tile)), 1);
  }
  // Where the next level is damaged too, the one after it.
  const Damaged both(Damaged::Holes{{2, {0, 0, 512, 512}}, {1, {0, 0, 2048, 2048}}});
  const TileImage t = read_tile_anyway(both, tile_at(2, 64, 32, 128));
  EXPECT_TRUE(t.fell_back);
  EXPECT_LE(worst(t.image, read_tile(good, tile_at(2, 64, 32, 128))), 1);
}

TEST(TileReading, OnlyTheDamagedPartIsWhite) {
  const Damaged good(Damaged::Holes{}), bad(Damaged::Holes{{0, {256, 256, 512, 512}}});
  for (int shrink : {1, 2}) {
    const Tile tile = tile_at(0, 100, 100, 640, shrink);
    const Image whole = read_tile(good, tile);
    const TileImage t = read_tile_anyway(bad, tile);
    ASSERT_TRUE(t.damaged);
    EXPECT_FALSE(t.fell_back);
    int wrong = 0;
    for (int y = 0; y < t.image.height; ++y)
      for (int x = 0; x < t.image.width; ++x) {
        const int lx = 100 + x * shrink, ly = 100 + y * shrink;
        const bool hole = lx >= 256 && lx < 512 && ly >= 256 && ly < 512;
        wrong += std::abs(t.image.row(y)[3 * x] - (hole ? 255 : whole.row(y)[3 * x])) > 1;
      }
    EXPECT_EQ(wrong, 0) << "shrink " << shrink;
  }
}

TEST(TileReading, NothingReadableIsWhite) {
  const Damaged bad(Damaged::Holes{{0, {0, 0, 4096, 4096}}});
  const TileImage t = read_tile_anyway(bad, tile_at(0, 100, 100, 200));
  EXPECT_TRUE(t.damaged);
  EXPECT_TRUE(std::all_of(t.image.rgb.begin(), t.image.rgb.end(), [](uint8_t v) { return v == 255; }));
}

// A real file: one stored tile of a TIFF overwritten. Level 0 has nothing finer.
TEST(TileReading, AStoredTileOfATiff) {
  ScratchFolder scratch;
  std::string bytes = read_file(data_folder() / "slides/blood-mosaic.tif");
  const auto path = scratch.path / "bad.tif";
  std::unique_ptr<Slide> good = open_slide(data_folder() / "slides/blood-mosaic.tif");
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 3), 3000, '\xff');
  write_file(path, bytes);
  std::unique_ptr<Slide> bad = open_slide(path);
  int damaged = 0, wrong = 0;
  for (const Tile& tile : make_grid(*bad, {})) {
    const TileImage t = read_tile_anyway(*bad, tile);
    damaged += t.damaged;
    const Image whole = read_tile(*good, tile);
    for (int y = 0; y < t.image.height; ++y)
      for (int x = 0; x < t.image.width; ++x) {
        const uint8_t *p = t.image.row(y) + 3 * x, *q = whole.row(y) + 3 * x;
        const bool white = p[0] == 255 && p[1] == 255 && p[2] == 255;
        wrong += !t.damaged ? p[0] != q[0] : !white && p[0] != q[0];
      }
  }
  EXPECT_GT(damaged, 0);
  EXPECT_LT(damaged, 12);
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace cytodet
