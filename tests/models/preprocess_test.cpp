#include "models/common/preprocess.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace cytodet {
namespace {

TEST(Preprocess, LetterboxIsTopLeftAndNormalised) {
  InputSettings in;
  in.width = in.height = 8;
  Image image(4, 2);
  for (size_t i = 0; i < image.rgb.size(); i += 3) image.rgb[i] = 255, image.rgb[i + 1] = 0, image.rgb[i + 2] = 128;
  Letterbox box = letterbox_of(4, 2, in);
  EXPECT_EQ(box.width, 8);
  EXPECT_EQ(box.height, 4);
  EXPECT_DOUBLE_EQ(box.scale, 2);
  std::vector<float> out(8 * 8 * 3, 7);
  preprocess(image, in, box, out.data());
  EXPECT_NEAR(out[0], (1 - 0.485) / 0.229, 1e-5);
  EXPECT_NEAR(out[1], (0 - 0.456) / 0.224, 1e-5);
  EXPECT_NEAR(out[3 * 8 * 3 + 2], (128 / 255.0 - 0.406) / 0.225, 1e-5);
  for (size_t i = 4 * 8 * 3; i < out.size(); ++i) EXPECT_EQ(out[i], 0);
  in.pixel_order = "BGR";
  preprocess(image, in, box, out.data());
  EXPECT_NEAR(out[0], (128 / 255.0 - 0.485) / 0.229, 1e-5);
}

// Every value of every channel, in rows that no vector divides.
TEST(Preprocess, NormalisesEveryValueInOddRows) {
  InputSettings in;
  in.width = 37;
  in.height = 21;
  Image image(35, 21);
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 7 + i / 256);
  for (const char* order : {"RGB", "BGR"}) {
    in.pixel_order = order;
    std::vector<float> out(37 * 21 * 3, 7);
    preprocess(image, in, {1, 1, 35, 21}, out.data());
    for (int y = 0; y < 21; ++y)
      for (int x = 0; x < 37; ++x)
        for (size_t c = 0; c < 3; ++c) {
          const size_t from = in.pixel_order == "BGR" ? 2 - c : c;
          const double want =
              x < 35 ? (image.row(y)[static_cast<size_t>(x) * 3 + from] / 255.0 - in.mean[c]) / in.deviation[c] : 0;
          ASSERT_NEAR(out[static_cast<size_t>((y * 37 + x) * 3) + c], want, 1e-6) << order << x << ',' << y << ',' << c;
        }
  }
}

// Bytes are the quantized floats, those outside the image the quantized 0.
TEST(Preprocess, BytesAreTheQuantizedFloats) {
  // The last is too coarse, and the one before too narrow, for every value to keep its place.
  const InputQuantization all[] = {
      {{50, 61.5f, 55.25f}, -114, 141}, {{30, 30, 30}, -127, 127}, {{400, 90, 7}, 0, 255}, {{0.3f, 0.2f, 0.1f}, -100, 155}};
  for (const auto& [width, height] : {std::pair{1, 1}, {35, 21}, {64, 2}, {149, 30}}) {  // the largest has every pixel
    InputSettings in;
    in.width = width + 2;
    in.height = height + 4;
    Image image(width, height);
    for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 7 + i / 256);
    for (const InputQuantization& q : all) {
      std::vector<float> floats(static_cast<size_t>(in.width * in.height * 3));
      std::vector<uint8_t> bytes(floats.size(), 99);
      preprocess(image, in, {1, 1, width, height}, floats.data());
      preprocess(image, in, {1, 1, width, height}, q, bytes.data());
      for (size_t i = 0; i < floats.size(); ++i) {
        const float code = std::clamp(std::nearbyint(floats[i] * q.inverse_scale[i % 3]), q.lowest, q.highest);
        ASSERT_EQ(bytes[i], code - q.lowest) << floats[i] << " of " << width << "x" << height;
      }
    }
  }
}

}  // namespace
}  // namespace cytodet
