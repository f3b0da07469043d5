// Boxes and pixels.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cytodet/c.h"

namespace cytodet {

// Level-0 pixels, x to the right, y down; x0 <= x1, y0 <= y1. 0 is the left edge of the first pixel, 1 its right edge.
struct Box {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

// Pixels that the library read: rgb[(y * width + x) * 3 + channel], channel 0 to 2: red, green, blue, 8 bits.
struct Image {
  int width = 0, height = 0;      // pixels
  std::vector<std::uint8_t> rgb;  // height * width * 3
};

enum class PixelFormat { rgb8 = CYTODET_RGB8, bgr8 = CYTODET_BGR8, gray8 = CYTODET_GRAY8 };

// Pixels of the caller: row y starts at data + y * stride. They are looked at during a call only.
struct ImageView {
  const std::uint8_t* data = nullptr;
  std::int64_t width = 0, height = 0;  // pixels, 1 or more
  PixelFormat format = PixelFormat::rgb8;
  std::int64_t stride = 0;      // bytes from row to row; 0: rows without padding
  double mpp_x = 0, mpp_y = 0;  // micrometres per pixel across and down; 0: not known; mpp_y 0: as mpp_x
  std::string name;             // for errors and results; empty: "image <index>"

  ImageView() = default;
  ImageView(const std::uint8_t* pixels, std::int64_t w, std::int64_t h, PixelFormat f = PixelFormat::rgb8,
            std::int64_t row_bytes = 0)
      : data(pixels), width(w), height(h), format(f), stride(row_bytes) {}
  ImageView(const Image& image) : ImageView(image.rgb.data(), image.width, image.height) {}
};

namespace detail {

// Points into `i`.
inline cytodet_image to_c(const ImageView& i) {
  return {sizeof(cytodet_image),
          i.data,
          i.width,
          i.height,
          i.stride,
          static_cast<int32_t>(i.format),
          i.mpp_x,
          i.mpp_y,
          i.name.empty() ? nullptr : i.name.c_str()};
}

}  // namespace detail
}  // namespace cytodet
