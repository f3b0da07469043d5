#include "tiling/draw/overlay.h"

#include <algorithm>
#include <array>

#include "tests/tiling/samples.h"

namespace cytodet {
namespace {

using Pixel = std::array<uint8_t, 3>;

int count(const Image& image, Pixel colour) {
  int n = 0;
  for (size_t i = 0; i < image.rgb.size(); i += 3)
    n += std::equal(colour.begin(), colour.end(), image.rgb.begin() + static_cast<std::ptrdiff_t>(i));
  return n;
}

std::unique_ptr<Slide> gray_slide(int w, int h) {
  Image image(w, h);
  std::fill(image.rgb.begin(), image.rgb.end(), uint8_t{100});
  return make_memory_slide(std::move(image));
}

TEST(Overlay, DrawsConfidentBoxesInTheirClassColour) {
  const auto slide = gray_slide(800, 600);
  const std::vector<std::string> classes = {"RBC", "WBC"};
  const Image none = draw_overlay(*slide, {}, classes);
  EXPECT_EQ(none.width, 800);
  EXPECT_GT(none.height, 600) << "a legend above the picture";
  const Image one = draw_overlay(*slide, {{{100, 100, 200, 180}, 0, 0.9f}, {{300, 300, 400, 380}, 1, 0.1f}}, classes);
  const Pixel red = {220, 40, 40}, blue = {30, 90, 230};
  EXPECT_GE(count(one, red) - count(none, red), 2 * (100 + 80) - 4);
  EXPECT_EQ(count(one, blue), count(none, blue)) << "below the least score";
  OverlayOptions all;
  all.score = 0;
  EXPECT_GT(count(draw_overlay(*slide, {{{300, 300, 400, 380}, 1, 0.1f}}, classes, all), blue), count(none, blue));
}

TEST(Overlay, ShrinksLargeSlidesAndKeepsTheirColours) {
  const auto slide = open_slide(data_folder() / "slides/yb10kx5k.zstd.tiff");
  OverlayOptions options;
  options.max_side = 500;
  const Image image = draw_overlay(*slide, {}, {}, options);
  EXPECT_EQ(image.width, 500);
  const Image whole = read_whole(*slide, 3);
  auto mean = [](const Image& i, int first_row, int channel) {
    double sum = 0;
    for (int y = first_row; y < i.height; ++y)
      for (int x = 0; x < i.width; ++x) sum += i.row(y)[x * 3 + channel];
    return sum / (i.width * (i.height - first_row));
  };
  for (int c = 0; c < 3; ++c) EXPECT_NEAR(mean(image, image.height - 250, c), mean(whole, 0, c), 1.5);
}

TEST(Overlay, OddInputsAreHarmless) {
  const auto slide = gray_slide(1, 3000);
  const Image image = draw_overlay(*slide, {{{-1e12, -1e12, 1e12, 1e12}, 7, 1.0f}, {{0, 0, 1, 1}, 0, 1.0f}},
                                   {"a class with a name far longer than the image is wide"});
  EXPECT_EQ(image.width, 1);
}

}  // namespace
}  // namespace cytodet
