// libjpeg-turbo behind errors that are thrown.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/image.h"

namespace cytodet::tiling {

enum class JpegColour { stated, gray, rgb, ycbcr };  // stated: as the stream's own markers say

// A stored tile: an abbreviated stream and the tables it needs (empty: it has its own).
struct JpegStream {
  std::span<const uint8_t> tables, data;
  JpegColour colour = JpegColour::stated;
};

// What a frame says of itself.
struct JpegSize {
  int width = 0, height = 0;
};
JpegSize jpeg_size(std::span<const uint8_t> data);

// RGB rows of ceil(width / reduce) * 3 bytes, ceil(height / reduce) of them; reduce: 1, 2, 4 or 8, done inside the inverse
// transform. False, with nothing decoded, when the stream's size is not width x height. Throws Error on damaged data.
bool decode_jpeg_stream(const JpegStream& stream, JpegSize size, int reduce, uint8_t* rgb);

std::string encode_jpeg(const Image& image, int quality);

}  // namespace cytodet::tiling
