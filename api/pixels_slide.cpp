#include "api/pixels_slide.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "api/handles.h"
#include "core/error.h"

namespace cytodet::api {
namespace {

constexpr size_t kMaxImagesOfCall = 100'000'000;

// Bytes of a pixel; 0: no such format.
int64_t bytes_of_pixel(int32_t format) {
  if (format == CYTODET_RGB8 || format == CYTODET_BGR8) return 3;
  return format == CYTODET_GRAY8 ? 1 : 0;
}

int64_t stride_of(const cytodet_image& image) { return image.stride ? image.stride : image.width * bytes_of_pixel(image.format); }

class PixelsSlide : public tiling::Slide {
 public:
  explicit PixelsSlide(const cytodet_image& image) : image_(image), stride_(stride_of(image)) {
    levels.push_back({image.width, image.height, 1.0, image.width, image.height, "whole image"});
    format = "memory";
    if (image.mpp_x > 0) {
      mpp_x = image.mpp_x;
      mpp_y = image.mpp_y > 0 ? image.mpp_y : image.mpp_x;
      mpp_source = "the caller";
    }
  }

  void read(int, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    std::memset(rgb, 255, static_cast<size_t>(w) * static_cast<size_t>(h) * 3);
    const int64_t x0 = std::max<int64_t>(0, x), x1 = std::min<int64_t>(image_.width, x + w);
    const int64_t y1 = std::min<int64_t>(image_.height, y + h);
    for (int64_t row = std::max<int64_t>(0, y); x0 < x1 && row < y1; ++row)
      copy_row(image_.data + row * stride_, x0, x1, rgb + ((row - y) * w + (x0 - x)) * 3);
  }

 private:
  // Pixels [x0, x1) of a row, as RGB.
  void copy_row(const uint8_t* row, int64_t x0, int64_t x1, uint8_t* rgb) const {
    if (image_.format == CYTODET_RGB8) {
      std::memcpy(rgb, row + x0 * 3, static_cast<size_t>(x1 - x0) * 3);
    } else if (image_.format == CYTODET_BGR8) {
      for (int64_t x = x0; x < x1; ++x, rgb += 3) {
        rgb[0] = row[x * 3 + 2];
        rgb[1] = row[x * 3 + 1];
        rgb[2] = row[x * 3];
      }
    } else {
      for (int64_t x = x0; x < x1; ++x, rgb += 3) std::memset(rgb, row[x], 3);
    }
  }

  cytodet_image image_;
  int64_t stride_;
};

}  // namespace

void check(const cytodet_image& image, const std::string& name) {
  const auto refuse = [&](const std::string& problem, const std::string& advice = {}) {
    throw core::UsageError(name, problem, advice);
  };
  if (!image.data) refuse("has no pixels: data is NULL");
  const int64_t pixel = bytes_of_pixel(image.format);
  if (!pixel)
    refuse("has the unknown pixel format " + std::to_string(image.format),
           "use CYTODET_RGB8 (1), CYTODET_BGR8 (2) or CYTODET_GRAY8 (3)");
  if (image.width < 1 || image.height < 1)
    refuse("has a size of " + std::to_string(image.width) + " x " + std::to_string(image.height) + " pixels");
  // All bytes of the image, and as many as its RGB would take, must be countable.
  int64_t row = 0, rgb = 0, all = 0;
  bool overflow = __builtin_mul_overflow(image.width, pixel, &row) || __builtin_mul_overflow(image.width, int64_t{3}, &rgb) ||
                  __builtin_mul_overflow(rgb, image.height, &rgb);
  if (!overflow && image.stride != 0 && image.stride < row)
    refuse("has a stride of " + std::to_string(image.stride) + " bytes, less than a row's " + std::to_string(row),
           "give the bytes from row to row, or 0 for rows without padding");
  overflow = overflow || __builtin_mul_overflow(std::max(row, image.stride), image.height, &all);
  if (overflow) refuse("has more bytes than memory can hold", "check width, height and stride");
  for (const double mpp : {image.mpp_x, image.mpp_y})
    if (!(std::isfinite(mpp) && mpp >= 0)) refuse("has an mpp that is negative or not finite", "give 0 where it is not known");
}

std::unique_ptr<tiling::Slide> make_pixels_slide(const cytodet_image& image, const std::string& name) {
  check(image, name);
  auto slide = std::make_unique<PixelsSlide>(image);
  slide->path = name;
  return slide;
}

std::vector<cytodet_image> images_of(const cytodet_image* images, size_t count) {
  require(images, "images");
  if (count < 1 || count > kMaxImagesOfCall)
    throw core::UsageError("count", "is " + std::to_string(count) + ": there is nothing to detect on");
  constexpr size_t kFirst = offsetof(cytodet_image, name) + sizeof(const char*);  // of version 1
  const size_t size = images->struct_size;
  if (size < kFirst || size > 4096)
    throw core::UsageError("struct_size", "is " + std::to_string(size), "set it to sizeof(cytodet_image)");
  std::vector<cytodet_image> known(count);
  for (size_t i = 0; i < count; ++i)
    std::memcpy(&known[i], reinterpret_cast<const char*>(images) + i * size, std::min(size, sizeof known[i]));
  return known;
}

core::Image pixels_of(const cytodet_image& image, const std::string& name) {
  const std::unique_ptr<tiling::Slide> slide = make_pixels_slide(image, name);
  constexpr int64_t kMaxSide = int64_t{1} << 20;
  if (image.width > kMaxSide || image.height > kMaxSide)
    throw core::UsageError(name, "is " + std::to_string(image.width) + " x " + std::to_string(image.height) + " pixels",
                           "give at most 1048576 across and down");
  core::Image pixels;
  pixels.width = static_cast<int>(image.width);
  pixels.height = static_cast<int>(image.height);
  pixels.rgb.resize(static_cast<size_t>(image.width) * static_cast<size_t>(image.height) * 3);
  slide->read(0, 0, 0, pixels.width, pixels.height, pixels.rgb.data());
  return pixels;
}

}  // namespace cytodet::api
