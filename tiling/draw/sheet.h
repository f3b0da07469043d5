// Pictures side by side, each under its title; and a picture under a legend.
#pragma once

#include <string>
#include <vector>

#include "core/image.h"

namespace cytodet::tiling {

struct TitledPicture {
  std::string title;
  Image picture;
};

// Row by row on white; a row is as high as its highest picture. Titles are cut at the picture's width.
Image draw_sheet(const std::vector<TitledPicture>& pictures, int columns);

// The picture with `height` white rows above it, for a legend.
Image below_band(const Image& picture, int height);

}  // namespace cytodet::tiling
