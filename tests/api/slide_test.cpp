// Slides: what they say of themselves, and their pixels.
#include "tests/api/program.h"

namespace cytodet::test {
namespace {

class SlideRead : public ApiTest {};

TEST_F(SlideRead, ReportsSizeLevelsAndFormat) {
  const Slide slide(kSource + "/tests/data/slides/small.svs");
  EXPECT_EQ(slide.format(), "svs");
  ASSERT_FALSE(slide.levels().empty());
  EXPECT_EQ(slide.levels()[0].width, slide.width());
  EXPECT_EQ(slide.levels()[0].height, slide.height());
  EXPECT_EQ(slide.levels()[0].downsample, 1);
  EXPECT_GT(slide.mpp_x(), 0);
  EXPECT_FALSE(slide.mpp_source().empty());
  EXPECT_EQ(slide.bounds().x1, static_cast<double>(slide.width()));
}

TEST_F(SlideRead, RegionIsPartOfTheWholeAndWhiteOutside) {
  const Image whole = pixels_of(kImage);
  const Image part = Slide(kImage).read(0, -2, 470, 8, 12);
  for (int y = 0; y < 12; ++y)
    for (int x = 0; x < 8; ++x) {
      const int wx = x - 2, wy = y + 470;
      const bool outside = wx < 0 || wy >= whole.height;
      const int expected = outside ? 255 : whole.rgb[static_cast<size_t>((int64_t{wy} * whole.width + wx) * 3)];
      EXPECT_EQ(part.rgb[static_cast<size_t>((y * 8 + x) * 3)], expected) << x << ", " << y;
    }
}

TEST_F(SlideRead, ScaledAtFullSizeEqualsTheRegion) {
  const Slide slide(kSlide);
  EXPECT_EQ(slide.read_scaled({100, 200, 228, 264}, 128, 64).rgb, slide.read(0, 100, 200, 128, 64).rgb);
  const Image small = slide.thumbnail(100);
  EXPECT_EQ(std::max(small.width, small.height), 100);
}

TEST_F(SlideRead, ErrorsNameTheFile) {
  const Slide slide(kSlide);
  EXPECT_EQ(error_of([&] { slide.read(99, 0, 0, 1, 1); }).kind(), ErrorKind::usage);
  EXPECT_EQ(error_of([&] { slide.read(0, 0, 0, 0, 5); }).kind(), ErrorKind::usage);
  EXPECT_EQ(error_of([&] { slide.read_scaled({5, 5, 5, 9}, 10, 10); }).kind(), ErrorKind::usage);
  EXPECT_EQ(error_of([&] { Slide(path("none.svs")); }).where(), path("none.svs"));
  SlideOptions options;
  options.page = -1;
  EXPECT_EQ(error_of([&] { Slide(kSlide, options); }).kind(), ErrorKind::usage);
}

}  // namespace
}  // namespace cytodet::test
