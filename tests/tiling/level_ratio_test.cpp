// Ratios of pyramid levels that are stored as whole numbers of tiles.
#include "tiling/slides/level_ratio.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/tiling/samples.h"

namespace cytodet {
namespace {

struct Stored {
  int64_t width, height;
  double true_ratio;
};

// Levels of one image, each at its true ratio whatever its size says; white beyond `content` level-0 pixels.
class Pyramid : public Slide {
 public:
  Pyramid(std::vector<Stored> stored, bool blank, int64_t tile = 256) : stored_(std::move(stored)), blank_(blank) {
    for (const Stored& s : stored_) {
      const double rx = double(stored_[0].width) / double(s.width), ry = double(stored_[0].height) / double(s.height);
      levels.push_back({s.width, s.height, (rx + ry) / 2, tile, tile, "none"});
    }
  }
  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    const double r = stored_[static_cast<size_t>(level)].true_ratio;
    for (int j = 0; j < h; ++j)
      for (int i = 0; i < w; ++i, rgb += 3) {
        const double X = (double(x + i) + 0.5) * r, Y = (double(y + j) + 0.5) * r;
        // Squares of 150 pixels, each of its own gray.
        const auto square = static_cast<uint32_t>(X / 150) * 2654435761u ^ static_cast<uint32_t>(Y / 150) * 2246822519u;
        rgb[0] = rgb[1] = rgb[2] = blank_ ? 240 : static_cast<uint8_t>((square * 3266489917u) >> 24);
      }
  }

 private:
  std::vector<Stored> stored_;
  bool blank_;
};

std::vector<double> ratios(std::vector<Stored> stored, bool blank = false) {
  Pyramid p(std::move(stored), blank);
  settle_level_ratios(p);
  std::vector<double> r;
  for (const LevelInfo& l : p.levels) r.push_back(l.downsample);
  return r;
}

using testing::DoubleEq;
using testing::DoubleNear;
using testing::ElementsAre;

TEST(LevelRatio, PaddingOfAtMostATileExplainsAWholeNumber) {
  EXPECT_EQ(ratio_fit({26112, 256}, {13312, 256}, 2), RatioFit::padding) << "one column of tiles more than half";
  EXPECT_EQ(ratio_fit({26000, 256}, {13056, 256}, 2), RatioFit::padding) << "half, filled up to whole tiles";
  EXPECT_EQ(ratio_fit({26112, 256}, {13000, 256}, 2), RatioFit::padding) << "level 0 filled up, the level not";
  EXPECT_EQ(ratio_fit({26112, 256}, {13056, 256}, 2), RatioFit::rounding);
  EXPECT_EQ(ratio_fit({26113, 256}, {13057, 256}, 2), RatioFit::rounding);
  EXPECT_EQ(ratio_fit({26000, 256}, {13100, 256}, 2), RatioFit::none) << "no whole number of tiles";
  EXPECT_EQ(ratio_fit({26112, 256}, {13568, 256}, 2), RatioFit::none) << "two columns more";
  EXPECT_EQ(ratio_fit({26112, 0}, {13312, 0}, 2), RatioFit::none) << "it is not known how it is stored";
  EXPECT_EQ(ratio_fit({32768, 256}, {10240, 256}, 4), RatioFit::none) << "3.2";
}

TEST(LevelRatio, PaddedLevelsAreAtTheirWholeNumber) {
  EXPECT_THAT(ratios({{26112, 13824, 1}, {13312, 7168, 2}}), ElementsAre(1, 2));
  EXPECT_THAT(ratios({{26112, 13824, 1}, {13312, 6912, 2}}), ElementsAre(1, 2)) << "padded in one direction";
  EXPECT_THAT(ratios({{26112, 13824, 1}, {13312, 7168, 2}, {6656, 3584, 4}, {3328, 1792, 8}, {1792, 1024, 16}}),
              ElementsAre(1, 2, 4, 8, 16));
  EXPECT_THAT(ratios({{26112, 13824, 1}, {6656, 3584, 4}, {1792, 1024, 16}}), ElementsAre(1, 4, 16));
  EXPECT_THAT(ratios({{26112, 13824, 1}, {8960, 4864, 3}, {3072, 1792, 9}}), ElementsAre(1, 3, 9));
  EXPECT_THAT(ratios({{26112, 13824, 1}, {13000, 6800, 2}}), ElementsAre(1, 2)) << "level 0 is padded, level 1 is not";
}

TEST(LevelRatio, PaddingIsOutsideTheSlide) {
  Pyramid p({{26112, 13824, 1}, {13312, 7168, 2}}, false);
  settle_level_ratios(p);
  EXPECT_EQ(p.levels[1].width, 13056);
  EXPECT_EQ(p.levels[1].height, 6912);
  EXPECT_THAT(p.levels[1].codec, testing::HasSubstr("stored as 13312 x 7168, padded"));
}

TEST(LevelRatio, PixelsOverruleWhatPaddingWouldExplain) {
  const double stretched = (26112.0 / 13312 + 13824.0 / 7168) / 2;
  EXPECT_THAT(ratios({{26112, 13824, 1}, {13312, 7040, 26112.0 / 13312}}), ElementsAre(1, DoubleNear(1.9626, 1e-3)));
  EXPECT_THAT(ratios({{4096, 4096, 1}, {1280, 1280, 3.2}}), ElementsAre(1, DoubleEq(3.2)));
  EXPECT_THAT(ratios({{4096, 4096, 1}, {1280, 1280, 4}}), ElementsAre(1, 4));
  EXPECT_NEAR(stretched, 1.945, 1e-3);
}

TEST(LevelRatio, BlankSlidesGoByTheNearestPowerOfTwo) {
  EXPECT_THAT(ratios({{26112, 13824, 1}, {13312, 7168, 2}, {6656, 3584, 4}}, true), ElementsAre(1, 2, 4));
  EXPECT_THAT(ratios({{4096, 4096, 1}, {1280, 1280, 4}}, true), ElementsAre(1, DoubleEq(3.2))) << "too far apart to be found";
}

TEST(LevelRatio, OtherRatiosStayAsTheyAre) {
  EXPECT_THAT(ratios({{32768, 32768, 1}, {10240, 10240, 3.2}}), ElementsAre(1, DoubleEq(3.2)));
  EXPECT_THAT(ratios({{46000, 32914, 1}, {11500, 8228, 4}}), ElementsAre(1, DoubleEq((4 + 32914.0 / 8228) / 2)));
  EXPECT_THAT(ratios({{5000, 4001, 1}, {1249, 1000, 4}}), ElementsAre(1, DoubleEq((5000.0 / 1249 + 4001.0 / 1000) / 2)));
}

TEST(LevelRatio, AFileOfWholeTilesIsReadAtHalf) {
  const std::unique_ptr<Slide> slide = open_slide(data_folder() / "field/32-padded-levels/padded_sparse.tif");
  ASSERT_EQ(slide->levels.size(), 2u);
  EXPECT_EQ(slide->levels[1].downsample, 2);
  EXPECT_EQ(slide->levels[1].width, 13056);
  // The two images lie at (11008, 5888) of level 1, and at twice that of level 0.
  Image level1(1280, 480), level0(1280, 480);
  slide->read(1, 11008, 5888, level1.width, level1.height, level1.rgb.data());
  slide->read_downsampled(0, 22016, 11776, 2560, 960, 2, level0.rgb.data());
  double difference = 0;
  for (size_t i = 0; i < level1.rgb.size(); ++i) difference += std::abs(int{level1.rgb[i]} - int{level0.rgb[i]});
  EXPECT_LT(difference / static_cast<double>(level1.rgb.size()), 6);
}

}  // namespace
}  // namespace cytodet
