// Limits of plain images, checked before anything is allocated.
#pragma once

#include <cstdint>
#include <string>

#include "core/error.h"
#include "tiling/slides/slide.h"

namespace cytodet::tiling {

inline void check_pixels(int64_t width, int64_t height) {
  const std::string size = std::to_string(width) + " x " + std::to_string(height);
  if (width <= 0 || height <= 0) throw Error("", "image of " + size + " pixels holds nothing", "restore the file");
  if (width > kMaxImagePixels / height)
    throw Error("", "image of " + size + " pixels is over the limit of " + std::to_string(kMaxImagePixels) + " pixels",
                "save it as a tiled TIFF");
}

}  // namespace cytodet::tiling
