// Heat maps, contact sheets and the scaled reading under them.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "core/error.h"
#include "tests/tiling/samples.h"
#include "tiling/draw/contact_sheet.h"
#include "tiling/draw/heat_map.h"
#include "tiling/tiles/region.h"

namespace cytodet {
namespace {

std::unique_ptr<Slide> gradient(int w, int h) {
  Image image(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x)
      for (int c = 0; c < 3; ++c) image.row(y)[x * 3 + c] = static_cast<uint8_t>(c == 0 ? x % 256 : c == 1 ? y % 256 : 40);
  return make_memory_slide(std::move(image));
}

// The mean of each block, straight.
Image block_means(const Slide& slide, int factor) {
  const int w = static_cast<int>(slide.width()), h = static_cast<int>(slide.height());
  Image whole(w, h), out(w / factor, h / factor);
  slide.read(0, 0, 0, w, h, whole.rgb.data());
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x)
      for (int c = 0; c < 3; ++c) {
        int sum = 0;
        for (int j = 0; j < factor; ++j)
          for (int i = 0; i < factor; ++i) sum += whole.row(y * factor + j)[(x * factor + i) * 3 + c];
        out.row(y)[x * 3 + c] = static_cast<uint8_t>((sum + factor * factor / 2) / (factor * factor));
      }
  return out;
}

int worst(const Image& a, const Image& b) {
  EXPECT_EQ(a.rgb.size(), b.rgb.size());
  int d = 0;
  for (size_t i = 0; i < std::min(a.rgb.size(), b.rgb.size()); ++i) d = std::max(d, std::abs(int{a.rgb[i]} - int{b.rgb[i]}));
  return d;
}

TEST(Region, ShrinkingIsTheMeanWhateverThePieces) {
  const auto slide = gradient(4096, 2048);
  EXPECT_LE(worst(read_scaled(*slide, {0, 0, 4096, 2048}, 256, 128), block_means(*slide, 16)), 1);
  EXPECT_LE(worst(thumbnail(*slide, 64), block_means(*slide, 64)), 1);
}

TEST(Region, OutsideIsWhiteAndFullSizeIsThePixels) {
  const auto slide = gradient(200, 100);
  const Image same = read_scaled(*slide, {10, 20, 60, 50}, 50, 30);
  EXPECT_EQ(same.row(0)[0], 10);
  EXPECT_EQ(same.row(29)[49 * 3 + 1], 49);
  const Image outside = read_scaled(*slide, {-100, -100, 0, 0}, 20, 20);
  EXPECT_EQ(*std::min_element(outside.rgb.begin(), outside.rgb.end()), 255);
  EXPECT_EQ(thumbnail(*slide, 1000).width, 200) << "never enlarged";
}

TEST(Region, StopsWhenAsked) {
  const auto slide = gradient(512, 512);
  std::atomic<bool> stop{true};
  EXPECT_THROW(read_scaled(*slide, {0, 0, 512, 512}, 64, 64, &stop), Error);
}

TEST(HeatMap, IsDarkWhereTheBoxesAre) {
  HeatMap map(2000, 1000);
  EXPECT_EQ(map.densest(), 0);
  for (int i = 0; i < 50; ++i) map.add({480, 480, 520, 520});
  map.add({-900, 5000, -800, 6000});  // far outside counts at the edge
  const auto slide = gradient(2000, 1000);
  for (const Slide* under : {static_cast<const Slide*>(nullptr), static_cast<const Slide*>(slide.get())}) {
    const Image p = map.draw(under, 1000);
    ASSERT_EQ(p.width, 1000);
    const int legend = p.height - 500;
    EXPECT_GT(legend, 0);
    const uint8_t* hot = p.row(legend + 250) + 250 * 3;
    const uint8_t* cold = p.row(legend + 250) + 750 * 3;
    EXPECT_GT(hot[0], hot[1] + 40) << "red";
    EXPECT_EQ(cold[0], cold[1]) << "gray";
    EXPECT_GT(cold[1], hot[1]);
  }
  EXPECT_GT(map.densest(), 50.0 / (2000 / 256.0 * 2000 / 256.0) * 1e6 * 0.1);
  EXPECT_THROW(HeatMap(0, 10), Error);
}

TEST(ContactSheet, KeepsTheBestOfEachClassInAnyOrder) {
  ContactSheetOptions options;
  options.per_class = 5;
  Detections all;
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i)
    all.push_back({{double(i), 10, double(i) + 20, 30}, i % 3, static_cast<float>(random() % 50) / 50.0F});
  std::vector<Detections> kept;
  for (int turn = 0; turn < 3; ++turn) {
    std::shuffle(all.begin(), all.end(), random);
    ContactSheet sheet(options);
    for (const Detection& d : all) sheet.add(d);
    kept.push_back(sheet.best(1));
  }
  std::sort(all.begin(), all.end(), ranks_before);
  Detections expected;
  for (const Detection& d : all)
    if (d.category == 1 && expected.size() < 5) expected.push_back(d);
  for (const Detections& k : kept) EXPECT_EQ(k, expected);
}

TEST(ContactSheet, ShowsTheCellsInTheirBoxes) {
  Image image(400, 400);
  std::fill(image.rgb.begin(), image.rgb.end(), uint8_t{200});
  for (int y = 100; y < 140; ++y)
    for (int x = 100; x < 140; ++x) image.row(y)[x * 3] = image.row(y)[x * 3 + 1] = image.row(y)[x * 3 + 2] = 10;
  const auto slide = make_memory_slide(std::move(image));
  ContactSheet sheet;
  sheet.add({{100, 100, 140, 140}, 0, 0.9F});
  sheet.add({{-50, -50, -20, -10}, 1, 0.5F});  // outside: white, no crash
  const Image p = sheet.draw(*slide, {"RBC", "WBC"});
  int dark = 0;
  const int crop = 128, cell = static_cast<int>(crop / 1.8), margin = cell * cell / 5;
  for (size_t i = 0; i < p.rgb.size(); i += 3) dark += p.rgb[i] < 30 && p.rgb[i + 1] < 30 && p.rgb[i + 2] < 30;
  EXPECT_NEAR(dark, cell * cell, margin);
  EXPECT_GT(ContactSheet().draw(*slide, {}).width, 100) << "no boxes at all";
  ContactSheetOptions wrong;
  wrong.per_class = 0;
  EXPECT_THROW(ContactSheet{wrong}, Error);
}

}  // namespace
}  // namespace cytodet
