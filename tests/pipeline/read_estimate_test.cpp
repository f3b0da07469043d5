// What info says that reading will take, against what it takes.
#include "pipeline/cli/read_estimate.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/tiling/samples.h"
#include "tiling/slides/formats/block_slide.h"

namespace cytodet {
namespace {

// Blocks that take a known time to decode, over and over the same pixels.
class SlowBlocks : public BlockSlide {
 public:
  SlowBlocks(int64_t width, int64_t height, int64_t tile_width, int64_t tile_height) : strips_(tile_width == width) {
    levels.push_back({width, height, 1.0, tile_width, tile_height, "none"});
    start_cache();
    const LevelInfo& l = levels[0];
    pixels_ = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(l.tile_width * l.tile_height * 3), uint8_t{200});
  }

 private:
  Block decode(Resolution, int64_t, int64_t) const override {
    std::this_thread::sleep_for(std::chrono::microseconds(4000));
    return pixels_;
  }
  bool reduces(int) const override { return false; }
  bool striped(int) const override { return strips_; }
  bool strips_;
  Block pixels_;
};

TEST(ReadEstimate, CountsEachStoredBlockOnce) {
  struct Case {
    int64_t width, height, tile_width, tile_height;
  };
  for (const Case& c : {Case{4000, 1280, 4000, 16}, Case{3000, 2500, 256, 256}}) {
    SCOPED_TRACE(c.tile_width);
    const SlowBlocks measured(c.width, c.height, c.tile_width, c.tile_height),
        walked(c.width, c.height, c.tile_width, c.tile_height);
    const std::vector<Tile> tiles = make_grid(measured, {});
    const ReadEstimate e = estimate_reading(measured, tiles);
    EXPECT_GE(e.measured, 3);
    for (const Tile& t : tiles) read_tile(walked, t);
    EXPECT_EQ(measured.plan_reads(0, 640, 1).blocks, walked.decoded().blocks);
    EXPECT_GT(e.decode_ms, walked.decoded().seconds * 500);
    EXPECT_LT(e.decode_ms, walked.decoded().seconds * 2000);
    EXPECT_NEAR(e.seconds(tiles.size(), 10, 2), (e.decode_ms + static_cast<double>(tiles.size()) * (e.tile_ms + 10)) / 2000,
                1e-9);
  }
}

TEST(ReadEstimate, OneThreadDecodesRowsThatComeOneAfterTheOther) {
  const std::unique_ptr<Slide> slide = open_slide(data_folder() / "field/12-single-strip/one_strip.tif");
  const std::vector<Tile> tiles = make_grid(*slide, {});
  const ReadEstimate e = estimate_reading(*slide, tiles);
  EXPECT_TRUE(e.in_order);
  EXPECT_GE(e.seconds(tiles.size(), 0, 64) * 1000, e.decode_ms);
}

TEST(ReadEstimate, SampleTilesAreSpread) {
  std::vector<int> parts(4);
  for (size_t i = 0; i < 24; ++i) ++parts[spread_tile(1000, i) / 250];
  for (int n : parts) EXPECT_GE(n, 5);
  EXPECT_EQ(spread_tile(1, 7), 0u);
}

}  // namespace
}  // namespace cytodet
