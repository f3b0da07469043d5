// Image: 8-bit RGB, interleaved, rows without padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;  // height * width * 3

  Image() = default;
  Image(int w, int h) : width(w), height(h), rgb(static_cast<size_t>(w) * static_cast<size_t>(h) * 3) {}
  uint8_t* row(int y) { return rgb.data() + static_cast<size_t>(y) * static_cast<size_t>(width) * 3; }
  const uint8_t* row(int y) const { return rgb.data() + static_cast<size_t>(y) * static_cast<size_t>(width) * 3; }
};

// How a JPEG's blocks become pixels; decoders differ by a few grey levels. The defaults are libjpeg's.
struct JpegDecoding {
  bool fast_dct = false;         // inverse transform in fewer bits (JDCT_IFAST)
  bool fancy_upsampling = true;  // colour is interpolated between its samples; else each is repeated
  friend bool operator==(const JpegDecoding&, const JpegDecoding&) = default;
};

}  // namespace cytodet::core
