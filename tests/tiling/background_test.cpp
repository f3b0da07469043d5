// Background methods: what they may never drop, and what they should.
#include "tiling/background/background.h"

#include <gmock/gmock.h>

#include <functional>
#include <map>

#include "eval/ground_truth.h"
#include "tests/tiling/samples.h"
#include "tiling/background/background_entries.h"
#include "tiling/tiles/grid.h"

namespace cytodet {
namespace {

TEST(Background, OtsuSplitsTwoHumps) {
  std::vector<int64_t> histogram(256, 0);
  histogram[10] = 500;
  histogram[12] = 400;
  histogram[90] = 100;
  histogram[95] = 50;
  const int t = otsu_threshold(histogram);
  EXPECT_GE(t, 12);
  EXPECT_LT(t, 90);
  EXPECT_EQ(otsu_threshold(std::vector<int64_t>(256, 0)), 255);
}

// Every background method on the shipped slide with ground truth, whatever the tile: no tile that holds a part of a ground truth
// box is dropped.
TEST(Background, NoTileWithACellIsDropped) {
  std::unique_ptr<Slide> slide = open_slide(data_folder() / "slides/blood-mosaic.tif");
  const GroundTruth truth = read_ground_truth(data_folder() / "slides/blood-mosaic.json");
  for (const BackgroundMethodEntry& method : background_methods()) {
    const CellMask mask = cell_mask(*slide, method.method);
    int dropped = 0, tiles = 0;
    for (int side : {128, 320, 640}) {
      TilingSettings s;
      s.tile_px = side;
      s.overlap_px = 0;
      for (const Tile& t : make_grid(*slide, s)) {
        ++tiles;
        if (mask.touches(t.area)) continue;
        ++dropped;
        for (size_t i = 0; i < truth.size(); ++i) {
          const double* b = &truth.boxes[4 * i];
          // The part of the box in the tile: a sliver of a box's corner holds no cell.
          const Box box{b[0], b[1], b[0] + b[2], b[1] + b[3]};
          EXPECT_LT(intersection(box, t.area), 0.1 * box.area())
              << method.name << ", tile of " << side << " at " << t.x << "," << t.y;
        }
      }
    }
    if (method.cells)
      EXPECT_GT(dropped, tiles / 100) << method.name << " skips bare glass";
    else
      EXPECT_EQ(dropped, 0);
  }
}

TEST(Background, EveryEntrySeparatesCellsFromGlass) {
  const std::map<std::string, bool> skips_glass{{"none", false}, {"otsu", true}, {"variance", true}};
  Image glass(2000, 1000);
  for (size_t i = 0; i < glass.rgb.size(); ++i) glass.rgb[i] = static_cast<uint8_t>(240 + i * 2654435761u % 4);
  for (int y = 300; y < 340; ++y)
    for (int x = 1500; x < 1540; ++x) {
      glass.row(y)[3 * x] = 200;
      glass.row(y)[3 * x + 1] = 120;
    }
  std::unique_ptr<Slide> slide = make_memory_slide(std::move(glass));
  for (const BackgroundMethodEntry& method : background_methods()) {
    ASSERT_TRUE(skips_glass.contains(method.name)) << method.name << " has no case";
    const CellMask mask = cell_mask(*slide, method.method);
    EXPECT_TRUE(mask.touches({1400, 200, 1600, 400})) << method.name;
    EXPECT_EQ(mask.touches({0, 0, 1000, 1000}), !skips_glass.at(method.name)) << method.name;
    const Image image = mask_image(mask);
    EXPECT_EQ(image.row(10)[30] < 100, skips_glass.at(method.name)) << method.name;
  }
  EXPECT_THAT(error_of([] { background_method_named("otso"); }), ::testing::HasSubstr("did you mean otsu"));
}

TEST(Background, AllTissueAndAllGlass) {
  Image tissue(600, 600), white(600, 600);
  for (int y = 0; y < 600; ++y)
    for (int x = 0; x < 600; ++x) {
      uint8_t* p = tissue.row(y) + 3 * x;
      p[0] = static_cast<uint8_t>(180 + (x * 7 + y * 13) % 40);
      p[1] = static_cast<uint8_t>(90 + (x * 11 + y * 3) % 40);
      p[2] = 170;
    }
  std::fill(white.rgb.begin(), white.rgb.end(), uint8_t{255});
  std::unique_ptr<Slide> full = make_memory_slide(std::move(tissue)), empty = make_memory_slide(std::move(white));
  for (const BackgroundMethod method : {BackgroundMethod::otsu, BackgroundMethod::variance}) {
    const char* name = name_of(method);
    const CellMask all = cell_mask(*full, method), nothing = cell_mask(*empty, method);
    for (int at = 0; at < 600; at += 50) EXPECT_TRUE(all.touches({double(at), double(at), at + 30.0, at + 30.0})) << name;
    EXPECT_FALSE(nothing.touches({0, 0, 600, 600})) << name;
  }
}

// A part of the small image that cannot be read is not taken for glass.
class HalfDamaged : public Slide {
 public:
  HalfDamaged() { levels.push_back({4000, 4000, 1.0}); }
  void read(int, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    if (y + h > 2000) throw Error("", "damaged");
    (void)x;
    std::fill_n(rgb, static_cast<size_t>(w) * static_cast<size_t>(h) * 3, uint8_t{255});
  }
};

TEST(Background, DamageIsNotBackground) {
  const CellMask mask = cell_mask(HalfDamaged(), BackgroundMethod::otsu);
  EXPECT_FALSE(mask.touches({0, 0, 4000, 1500}));
  EXPECT_TRUE(mask.touches({0, 2500, 4000, 4000}));
}

}  // namespace
}  // namespace cytodet
