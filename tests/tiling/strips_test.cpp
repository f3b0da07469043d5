// Slides stored in strips: each strip is decoded once for a walk over all tiles, whatever its width; strips of any size are read.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>
#include <thread>

#include "tests/tiling/samples.h"
#include "tiling/slides/formats/block_slide.h"
#include "tiling/slides/formats/tiff_rows.h"
#include "tiling/slides/formats/tiff_slide.h"
#include "tiling/tiles/grid.h"

namespace cytodet {
namespace {

const std::filesystem::path kStripsFolder = data_folder() / "field";

// A pixel of the image that the strips below hold.
uint8_t value_at(int64_t x, int64_t y, int channel) { return static_cast<uint8_t>(x / 3 + y * 5 + channel * 17); }

// Strips of 8 rows.
class Strips : public BlockSlide {
 public:
  Strips(int64_t width, int64_t height, int64_t limit) {
    levels.push_back({width, height, 1.0, width, 8, "none"});
    strip_limit_ = limit;
    start_cache();
  }

 private:
  Block decode(Resolution r, int64_t column, int64_t row) const override {
    std::this_thread::sleep_for(std::chrono::microseconds(500));  // decoding takes longer than copying
    const int64_t width = panel_width(r), left = column * width;
    auto block = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(width * 8 * 3), uint8_t{255});
    for (int64_t y = 0; y < 8; ++y)
      for (int64_t x = 0; x < std::min(width, levels[0].width - left); ++x)
        for (int c = 0; c < 3; ++c) (*block)[static_cast<size_t>((y * width + x) * 3 + c)] = value_at(left + x, row * 8 + y, c);
    return block;
  }
  bool reduces(int) const override { return false; }
  bool striped(int) const override { return true; }
};

// Reads all tiles on some threads as detection does; counts the pixels that are wrong.
int64_t walk(const Slide& slide, int threads) {
  TilingSettings s;
  const std::vector<Tile> tiles = make_grid(slide, s);
  std::atomic<size_t> next{0};
  std::atomic<int64_t> wrong{0};
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i)
    workers.emplace_back([&] {
      for (size_t t; (t = next++) < tiles.size();) {
        const Image image = read_tile(slide, tiles[t]);
        for (int y = 0; y < image.height; y += 37)
          for (int x = 0; x < image.width; ++x) wrong += image.row(y)[x * 3 + 1] != value_at(tiles[t].x + x, tiles[t].y + y, 1);
      }
    });
  for (std::thread& w : workers) w.join();
  return wrong;
}

constexpr int64_t kWidth = 6000, kHeight = 2000, kStrips = 250;
constexpr int64_t kRowOfTiles = kWidth * 3 * (640 + 128 + 1);

TEST(Strips, EachIsDecodedOnceForAllTiles) {
  for (int threads : {1, 4}) {
    const int64_t allowed = kStrips * (threads == 1 ? 100 : 115) / 100;
    int64_t least = std::numeric_limits<int64_t>::max();
    // A thread that a busy machine stops for long finds its strips gone, and decodes them again: that walk tells nothing.
    for (int walks = 0; walks < (threads == 1 ? 1 : 3) && least > allowed; ++walks) {
      const Strips slide(kWidth, kHeight, kRowOfTiles + 4096);
      EXPECT_EQ(slide.plan_reads(0, 640, 1).blocks, kStrips);
      EXPECT_LE(slide.plan_reads(0, 640, 1).kept_bytes, kRowOfTiles + 4096);
      EXPECT_EQ(walk(slide, threads), 0);
      EXPECT_GE(slide.decoded().blocks, kStrips);
      least = std::min(least, slide.decoded().blocks);
    }
    EXPECT_LE(least, allowed) << threads << " threads";
  }
}

TEST(Strips, WiderThanTheMemoryAreDecodedOncePerPanel) {
  const Strips slide(kWidth, kHeight, kRowOfTiles / 2);
  const int64_t planned = slide.plan_reads(0, 640, 1).blocks;
  EXPECT_EQ(planned, kStrips * 5 * 4 / 3) << "five panels; a quarter of the rows is shared by rows of tiles";
  EXPECT_LE(slide.plan_reads(0, 640, 1).kept_bytes, kRowOfTiles / 2);
  EXPECT_EQ(walk(slide, 1), 0);
  EXPECT_LE(slide.decoded().blocks, planned * 115 / 100);
}

TEST(Strips, TheMemoryFollowsTheWidthUpToALimit) {
  EXPECT_LE(open_slide(kStripsFolder / "31-wide-strips/strips_120000.tif")->kept_bytes, int64_t{120'000} * 3 * 800);
  EXPECT_GE(open_slide(kStripsFolder / "31-wide-strips/strips_120000.tif")->kept_bytes, int64_t{120'000} * 3 * 640);
  EXPECT_EQ(open_slide(data_folder() / "tiling/formats/strip.tif")->kept_bytes, int64_t{64} << 20);
}

TEST(Strips, AFileOfWideStripsDecodesEachOnce) {
  const std::unique_ptr<Slide> slide = open_slide(kStripsFolder / "31-wide-strips/strips_120000.tif");
  ASSERT_EQ(slide->width(), 120'000);
  for (const Tile& t : make_grid(*slide, {})) read_tile(*slide, t);
  EXPECT_EQ(decoded(*slide).blocks, 80);
}

// libtiff's own reading of 16-bit gray tiles is wrong right of the last whole tile.
TEST(TiffTiles, SixteenBitGrayIsThatOfStripsUpToTheRightEdge) {
  const std::unique_ptr<Slide> tiles = open_slide(data_folder() / "tiling/gray16_tiles.tif"),
                               strips = open_slide(data_folder() / "tiling/gray16_strips.tif");
  EXPECT_EQ(read_whole(*tiles).rgb, read_whole(*strips).rgb);
  const Image image = read_whole(*tiles);
  for (int y : {0, 1, 31, 49}) {
    const int gray = (69 * 700 + y * 300) / 257;
    EXPECT_NEAR(image.row(y)[69 * 3], gray, 1) << y;
  }
}

// Every striped sample, by rows in a strange order, against strips decoded whole.
TEST(TiffRows, GiveThePixelsOfStripsDecodedWhole) {
  int count = 0, compressed = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data_folder() / "tiling/formats")) {
    const std::string path = entry.path().string();
    if (entry.path().extension() != ".tif") continue;
    TiffFile file(path);
    TiffDirectory d = file.open(false, 0);
    file.prepare(d, -1, std::nullopt);
    if (d.tiled || path.find("channels") != std::string::npos) continue;
    SCOPED_TRACE(path);
    const TiffSlide whole(path, {});
    d.by_rows = true;
    TiffRows rows(path, d);
    for (const TiffRows::Area& a : {TiffRows::Area{0, 0, d.width, 5},
                                    {0, 5, d.width, 5},
                                    {0, 17, d.width, 7},
                                    {0, 1, d.width, 9},
                                    {9, 3, 11, 8},
                                    {3, 12, 64, 40},
                                    {0, d.height - 1, d.width, 1}}) {
      const int64_t w = std::min(a.width, d.width - a.x);
      if (a.x >= d.width || a.y >= d.height) continue;
      const Block got = rows.read(a);
      std::vector<uint8_t> want(static_cast<size_t>(a.width * a.height * 3));
      whole.read(0, a.x, a.y, static_cast<int>(a.width), static_cast<int>(a.height), want.data());
      ASSERT_EQ(got->size(), want.size());
      int worst = 0;
      for (size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::abs(int{want[i]} - int{(*got)[i]}));
      EXPECT_LE(worst, d.plain_jpeg ? 2 : 0) << a.x << "," << a.y << " of width " << w;
    }
    ++count;
    compressed += rows.compressed();
  }
  EXPECT_GE(count, 12);
  EXPECT_GE(compressed, 4);
}

TEST(TiffRows, GoOnDownwardsWithoutDecodingAgain) {
  const std::string path = (kStripsFolder / "12-single-strip/one_strip.tif").string();
  const TiffDirectory d = TiffFile(path).open(false, 0);
  ASSERT_TRUE(d.by_rows);
  EXPECT_EQ(d.strip_rows, 8400);
  TiffRows rows(path, d);
  for (int64_t y = 0; y < 2000; y += d.block_height) rows.read({0, y, d.width, d.block_height});
  EXPECT_LE(rows.decoded_rows(), 2000 + d.block_height);
  rows.read({0, 0, d.width, 1});
  rows.read({0, 2048, d.width, 1});
  EXPECT_LE(rows.decoded_rows(), 2000 + 2 * d.block_height + 64) << "the place below is gone on from";
}

TEST(TiffRows, OneLargeStripIsRead) {
  const std::unique_ptr<Slide> slide = open_slide(kStripsFolder / "12-single-strip/one_strip.tif");
  EXPECT_EQ(slide->width(), 8000);
  EXPECT_EQ(slide->height(), 8400);
  // Images of cells on white.
  int64_t dark = 0;
  for (const Tile& t : make_grid(*slide, {})) {
    const Image image = read_tile(*slide, t);
    dark += std::count_if(image.rgb.begin(), image.rgb.end(), [](uint8_t v) { return v < 200; });
  }
  EXPECT_GT(dark, 100'000);
  const int64_t bands = (8400 + slide->levels[0].tile_height - 1) / slide->levels[0].tile_height;
  EXPECT_EQ(decoded(*slide).blocks, bands);
  EXPECT_EQ(plan_reads(*slide, 0, 640, 1).blocks, bands);
  EXPECT_TRUE(plan_reads(*slide, 0, 640, 1).in_order);
}

// Uncompressed strips of 5000 x 3600 and 5000 x 400 gray pixels (libtiff itself cuts single ones up): read where they lie; cut
// off, what is above the cut is still there.
TEST(TiffRows, UncompressedStripsAreReadInPlace) {
  ScratchFolder scratch;
  constexpr int kW = 5000, kH = 4000;
  std::string file("II*\0", 4);
  auto u16 = [&](int v) { file += {static_cast<char>(v & 255), static_cast<char>(v >> 8 & 255)}; };
  auto u32 = [&](int v) { u16(v & 0xffff), u16(v >> 16); };
  u32(8);
  constexpr int kStrip = 3600, kData = 138;
  const int tags[][4] = {{256, 4, 1, kW},  {257, 4, 1, kH}, {258, 3, 1, 8},      {259, 3, 1, 1},  {262, 3, 1, 1},
                         {273, 4, 2, 122}, {277, 3, 1, 1},  {278, 4, 1, kStrip}, {279, 4, 2, 130}};
  u16(9);
  for (const auto& t : tags) u16(t[0]), u16(t[1]), u32(t[2]), u32(t[3]);
  u32(0);
  ASSERT_EQ(file.size(), 122u);
  for (int v : {kData, kData + kW * kStrip, kW * kStrip, kW * (kH - kStrip)}) u32(v);
  ASSERT_EQ(file.size(), static_cast<size_t>(kData));
  for (int y = 0; y < kH; ++y)
    for (int x = 0; x < kW; ++x) file += static_cast<char>(value_at(x, y, 0));
  write_file(scratch.path / "a.tif", file);
  const std::unique_ptr<Slide> slide = open_slide(scratch.path / "a.tif");
  EXPECT_FALSE(plan_reads(*slide, 0, 640, 1).in_order);
  Image piece(700, 500);
  slide->read(0, 4500, 3450, piece.width, piece.height, piece.rgb.data());
  int wrong = 0;
  for (int y = 0; y < piece.height; ++y)
    for (int x = 0; x < piece.width; ++x) wrong += piece.row(y)[3 * x] != (x < 500 ? value_at(4500 + x, 3450 + y, 0) : 255);
  EXPECT_EQ(wrong, 0);
  write_file(scratch.path / "cut.tif", std::string_view(file).substr(0, file.size() / 2));
  const std::unique_ptr<Slide> cut = open_slide(scratch.path / "cut.tif");
  EXPECT_NO_THROW(cut->read(0, 0, 0, 64, 64, piece.rgb.data()));
  EXPECT_THAT(error_of([&] { cut->read(0, 0, 3900, 64, 64, piece.rgb.data()); }), testing::HasSubstr("the file ends within row"));
}

}  // namespace
}  // namespace cytodet
