// Geometry of a slide: bounds, frames, pixels that are not square, areas.
#include "tiling/tiles/slide_geometry.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "tests/tiling/samples.h"
#include "tiling/background/background.h"
#include "tiling/draw/heat_map.h"
#include "tiling/draw/overlay.h"
#include "tiling/regions/roi.h"
#include "tiling/tiles/grid.h"
#include "tiling/tiles/region.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;

// White but for what a test paints.
class Canvas : public Slide {
 public:
  Canvas(int64_t width, int64_t height, const std::vector<double>& downsamples = {1}) {
    for (double d : downsamples)
      levels.push_back({std::llround(static_cast<double>(width) / d), std::llround(static_cast<double>(height) / d), d});
  }
  std::vector<Box> dark;  // level-0 pixels
  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    const double down = levels[static_cast<size_t>(level)].downsample;
    for (int r = 0; r < h; ++r)
      for (int c = 0; c < w; ++c, rgb += 3) {
        const double px = (static_cast<double>(x + c) + 0.5) * down, py = (static_cast<double>(y + r) + 0.5) * down;
        const bool in = std::any_of(dark.begin(), dark.end(),
                                    [&](const Box& b) { return px >= b.x0 && px < b.x1 && py >= b.y0 && py < b.y1; });
        rgb[0] = rgb[1] = rgb[2] = in ? 40 : 255;
        if (in) rgb[0] = 160;
      }
  }
};

TEST(SlideGeometry, ALeicaSlideReportsItsBounds) {
  const auto slide = open_slide(data_folder() / "field/13-scn-bounds/slide.scn");
  EXPECT_EQ(slide->width(), 4000);
  EXPECT_EQ(slide->bounds, (PixelArea{2000, 2400, 1280, 960}));
  EXPECT_EQ(slide->parts, (std::vector<PixelArea>{{2000, 2400, 1280, 960}}));
  EXPECT_EQ(make_grid(*slide, {}).size(), 6u);
  EXPECT_FALSE(open_slide(data_folder() / "slides/blood-mosaic.tif")->bounds);
}

TEST(SlideGeometry, BoundsAreCutToTheCanvas) {
  Canvas slide(1000, 800);
  EXPECT_EQ(scanned_area(slide), (PixelArea{0, 0, 1000, 800}));
  slide.bounds = {900, 700, 500, 500};
  EXPECT_EQ(scanned_area(slide), (PixelArea{900, 700, 100, 100}));
  slide.bounds = {2000, 0, 10, 10};
  EXPECT_EQ(scanned_area(slide), (PixelArea{0, 0, 1000, 800})) << "outside: as if there were none";
}

TEST(SlideGeometry, TilesCoverTheScanAloneAtEveryLevel) {
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    Canvas slide(10000, 8000, {1, 2, 4, 16});
    const auto pick = [&](int64_t least, int64_t most) { return least + static_cast<int64_t>(random()) % (most - least + 1); };
    const int64_t x = pick(0, 8000), y = pick(0, 6000);
    slide.bounds = {x, y, pick(1, 10000 - x), pick(1, 8000 - y)};
    TilingSettings s;
    s.tile_px = static_cast<int>(pick(64, 700));
    s.overlap_px = s.tile_px / 5;
    if (i % 3) s.scale = 1.0 / static_cast<double>(pick(1, 20));
    const Box all = box_of(*slide.bounds);
    const std::vector<Tile> tiles = make_grid(slide, s);
    ASSERT_FALSE(tiles.empty());
    Box hull = tiles[0].area;
    for (const Tile& t : tiles) {
      const LevelInfo& level = slide.levels[static_cast<size_t>(t.level)];
      EXPECT_GT(intersection(t.area, all), 0);
      EXPECT_GE(t.x, 0);
      EXPECT_LE(t.x + t.width, level.width);
      EXPECT_EQ(t.area.x0, static_cast<double>(t.x) * level.downsample) << "where detections are counted from";
      hull = {std::min(hull.x0, t.area.x0), std::min(hull.y0, t.area.y0), std::max(hull.x1, t.area.x1),
              std::max(hull.y1, t.area.y1)};
    }
    EXPECT_EQ(intersection(hull, all), all.area()) << "nothing is left out";
    const double slack = 16.0 * tiles[0].downsample_factor + tiles[0].pixel;
    EXPECT_GE(hull.x0, all.x0 - slack);
    EXPECT_LE(hull.x1, all.x1 + 1e-6);
  }
}

TEST(SlideGeometry, TilesBetweenScannedPartsAreLeftOut) {
  Canvas slide(20000, 2000);
  slide.bounds = {1000, 0, 16000, 2000};
  slide.parts = {{1000, 0, 1280, 960}, {15000, 1000, 2000, 1000}};
  const std::vector<Tile> tiles = make_grid(slide, {640, 160});
  EXPECT_LT(tiles.size(), 40u) << "the whole bounds take over 130";
  for (size_t i = 0; i < tiles.size(); ++i) {
    EXPECT_EQ(tiles[i].index, static_cast<int>(i));
    EXPECT_TRUE(intersection(tiles[i].area, {1000, 0, 2280, 960}) > 0 ||
                intersection(tiles[i].area, {15000, 1000, 17000, 2000}) > 0);
  }
}

TEST(SlideGeometry, ImagesShowTheScan) {
  Canvas slide(4000, 4000);
  slide.bounds = {2000, 2400, 1280, 960};
  slide.dark = {{2000, 2400, 2100, 2500}};
  const Image small = thumbnail(slide, 128);
  EXPECT_EQ(small.width, 128);
  EXPECT_EQ(small.height, 96);
  EXPECT_EQ(small.rgb[0], 160) << "the scan's corner is the image's";
  HeatMap heat(4000, 4000, slide.bounds);
  heat.add({2000, 2400, 2010, 2410});
  const Image drawn = heat.draw(&slide, 128);
  EXPECT_EQ(drawn.width, 128);
  EXPECT_NEAR(heat.densest(), HeatMap(1280, 960).densest() + heat.densest(), 1e-9);
  const Image boxes = draw_overlay(slide, {{{2000, 2400, 2640, 2880}, 0, 0.9F}}, {"a"}, {0.4, 1280});
  const auto colour = class_colour(0);
  const uint8_t* place = boxes.row(boxes.height - 960) + 640 * 3;  // the box ends in the middle of the scan, below the legend
  EXPECT_EQ(place[0], colour[0]) << "the upper edge at (640, 0)";
  EXPECT_EQ(place[1], colour[1]);
}

TEST(SlideGeometry, TheBackgroundMaskLiesOnTheScan) {
  Canvas slide(8000, 8000, {1, 2});
  slide.bounds = {4000, 4200, 2600, 2400};
  slide.dark = {{6000, 6000, 6300, 6300}};
  const CellMask mask = cell_mask(slide, BackgroundMethod::otsu);
  EXPECT_NEAR(mask.left, 4000, 4);
  EXPECT_NEAR(mask.top, 4200, 4);
  EXPECT_TRUE(mask.touches({6100, 6100, 6200, 6200}));
  EXPECT_FALSE(mask.touches({4000, 4200, 5000, 5000}));
  EXPECT_FALSE(mask.touches({2000, 1800, 2300, 2100})) << "as far from the corner of the canvas as the cell from the scan's";
}

TEST(SlideGeometry, TilesAreSquareInMicrometres) {
  Canvas slide(640, 480);
  slide.mpp_x = 0.5;
  slide.mpp_y = 0.25;
  TilingSettings s{160, 0};
  s.mpp = 0.5;
  const std::vector<Tile> tiles = make_grid(slide, s);
  EXPECT_EQ(tiles.size(), 8u) << "640 x 240 working pixels are 4 x 2 tiles";
  EXPECT_EQ(tiles[0].side, 160);
  EXPECT_EQ(tiles[0].side_y, 320);
  s.mpp = 1.0;
  s.tile_px = 80;
  const Tile t = make_grid(slide, s)[0];
  EXPECT_EQ(t.downsample_factor, 2) << "the way that wants less";
  EXPECT_EQ(t.side, 160);
  EXPECT_EQ(t.side_y, 320);
  std::swap(slide.mpp_x, slide.mpp_y);
  EXPECT_EQ(make_grid(slide, s)[0].side, 320);
  EXPECT_EQ(make_grid(slide, s)[0].side_y, 160);
  slide.mpp_y = 0.2505;  // what scanners call square
  EXPECT_EQ(make_grid(slide, s)[0].side, make_grid(slide, s)[0].side_y);
}

TEST(SlideGeometry, SettingsOverruleOrStandInForTheFile) {
  const auto settled = [](std::optional<double> own, const TilingSettings& s) {
    Canvas slide(10, 10);
    slide.mpp_x = slide.mpp_y = own;
    slide.mpp_source = own ? "file" : "";
    slide.mpp_warning = own ? "doubtful" : "";
    settle_pixel_size(slide, s);
    return std::tuple(slide.mpp_x, slide.mpp_y, slide.mpp_source, slide.mpp_warning);
  };
  using Expected = std::tuple<std::optional<double>, std::optional<double>, std::string, std::string>;
  TilingSettings assume, set, both_ways;
  assume.assume_mpp = 0.499;
  set.set_mpp = {0.499};
  both_ways.set_mpp = {0.5, 0.25};
  EXPECT_EQ(settled({}, assume), Expected(0.499, 0.499, "assumed", ""));
  EXPECT_EQ(settled({}, both_ways), Expected(0.5, 0.25, "--set-mpp", ""));
  EXPECT_EQ(settled(1.267, set), Expected(0.499, 0.499, "--set-mpp", ""));
  EXPECT_THAT(std::get<3>(settled(1.267, assume)),
              HasSubstr("--assume-mpp 0.499 is not used, since the file says 1.267 micrometres per pixel (file)"));
  EXPECT_EQ(std::get<0>(settled(1.267, assume)), 1.267);
  EXPECT_EQ(std::get<3>(settled(0.5, assume)), "doubtful") << "near enough";
  TilingSettings bad;
  for (const std::vector<double>& v : {std::vector<double>{0}, {1, 2, 3}, {-1, 1}, {0.5, NAN}}) {
    bad.set_mpp = v;
    EXPECT_THROW(check(bad), UsageError);
  }
  bad.set_mpp = {0.5};
  bad.assume_mpp = 0.5;
  EXPECT_THROW(check(bad), UsageError);
}

TEST(SlideGeometry, RegionsOfAViewerMoveByTheBounds) {
  ScratchFolder folder;
  const auto regions = [&](const std::string& text) {
    write_file(folder.path / "r.json", text);
    return RoiSource(folder.path / "r.json").of("a.scn").value();
  };
  const std::string geojson =
      R"({"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":[[[0,0],[10,0],[10,10],[0,10]]]}})";
  const std::optional<PixelArea> bounds = PixelArea{2000, 2400, 100, 100};
  Roi roi = regions(geojson);
  EXPECT_EQ(roi.frame, RoiFrame::viewer);
  roi.to_slide_frame(bounds, Origin::bounds);
  EXPECT_TRUE(roi.contains(2005, 2405));
  EXPECT_FALSE(roi.contains(5, 5));
  roi.to_slide_frame(bounds, Origin::bounds);
  EXPECT_TRUE(roi.contains(2005, 2405)) << "moved once";
  roi = regions(geojson);
  roi.to_slide_frame(bounds, Origin::slide);
  EXPECT_TRUE(roi.contains(5, 5)) << "QuPath was set not to crop";
  roi = regions(geojson);
  roi.to_slide_frame(std::nullopt, Origin::bounds);
  EXPECT_TRUE(roi.contains(5, 5));
  roi = regions(R"([{"class":"roi","x":0,"y":0,"w":10,"h":10}])");
  EXPECT_EQ(roi.frame, RoiFrame::slide);
  roi.to_slide_frame(bounds, Origin::bounds);
  EXPECT_TRUE(roi.contains(5, 5)) << "counts from the slide's own corner";
}

TEST(Area, SimpleShapesHaveTheirKnownArea) {
  Roi roi;
  const Box all{0, 0, 1000, 1000};
  roi.add({{{0, 0}, {100, 0}, {100, 100}, {0, 100}}, {{20, 20}, {40, 20}, {40, 40}, {20, 40}}});
  EXPECT_EQ(roi.area(all), 100 * 100 - 20 * 20);
  roi.add(Box{90, 90, 200, 120});
  EXPECT_EQ(roi.area(all), 9600 + 110 * 30 - 10 * 10) << "overlaps count once";
  EXPECT_EQ(roi.area({0, 0, 50, 1000}), 50 * 100 - 400) << "cut to the slide";
  const std::vector<Box> tiles{{0, 0, 60, 60}, {50, 0, 110, 60}};
  EXPECT_EQ(roi.area(all, tiles), 100 * 60 - 400) << "tiles that overlap count once";
  EXPECT_EQ(roi.area(all, {}), 0);
  roi.subtract({{{50, 50}, {95, 50}, {95, 95}, {50, 95}}});
  EXPECT_EQ(roi.area(all), 9600 + 110 * 30 - 10 * 10 - 45 * 45) << "what is taken off";
  Roi triangle;
  triangle.add({{{0, 0}, {300, 0}, {0, 400}}});
  EXPECT_NEAR(triangle.area(all), 60000, 0.01);
  Roi circle;
  Roi::Ring ring;
  for (int i = 0; i < 5000; ++i) {
    const double a = 2 * M_PI * i / 5000;
    ring.push_back({500 + 400 * std::cos(a), 500 + 400 * std::sin(a)});
  }
  circle.add({ring});
  EXPECT_NEAR(circle.area(all) / (M_PI * 400 * 400), 1, 1e-5);
}

TEST(Area, RandomPolygonsEqualCountedPoints) {
  std::mt19937 random(11);
  std::uniform_real_distribution<double> at(-100, 1100);
  for (int trial = 0; trial < 5; ++trial) {
    Roi roi;
    for (int p = 0; p < 4; ++p) {
      Roi::Ring ring;
      for (int i = 0; i < 3 + 4 * p; ++i) ring.push_back({at(random), at(random)});
      roi.add({ring});
    }
    roi.subtract({{{at(random), at(random)}, {at(random), at(random)}, {at(random), at(random)}, {at(random), at(random)}}});
    std::vector<Box> tiles;
    for (int i = 0; i < 10; ++i) {
      const double x = at(random), y = at(random);
      tiles.push_back({x, y, x + 200, y + 200});
    }
    const Box clip{0, 0, 1000, 1000};
    double counted = 0, in_tiles = 0;
    for (double y = 0.5; y < 1000; ++y)
      for (double x = 0.5; x < 1000; ++x) {
        if (!roi.contains(x, y)) continue;
        ++counted;
        in_tiles +=
            std::any_of(tiles.begin(), tiles.end(), [&](const Box& b) { return x >= b.x0 && x < b.x1 && y >= b.y0 && y < b.y1; });
      }
    EXPECT_NEAR(roi.area(clip), counted, 800);
    EXPECT_NEAR(roi.area(clip, tiles), in_tiles, 800);
  }
}

TEST(Area, ManyPointsAreQuick) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> at(0, 100000);
  Roi cells, wild;
  for (int i = 0; i < 100000; ++i) {
    const double x = at(random), y = at(random);
    cells.add({{{x, y}, {x + 30, y + 5}, {x + 40, y + 30}, {x + 5, y + 40}}});
  }
  Roi::Ring ring;
  for (int i = 0; i < 200000; ++i) ring.push_back({at(random), at(random)});
  wild.add({ring});
  const Box all{0, 0, 100000, 100000};
  EXPECT_NEAR(cells.area(all) / (100000 * 1075.0), 1, 0.01) << "a few overlap";
  EXPECT_GT(wild.area(all), 0.4 * all.area());
}

}  // namespace
}  // namespace cytodet
