// Images side by side, each under its title; and an image under a legend.
#pragma once

#include <string>
#include <vector>

#include "core/image.h"

namespace cytodet::tiling {

struct TitledImage {
  std::string title;
  Image image;
};

// Row by row on white; a row is as high as its highest image. Titles are cut at the image's width.
Image draw_sheet(const std::vector<TitledImage>& images, int columns);

// The image with `height` white rows above it, for a legend.
Image below_band(const Image& image, int height);

}  // namespace cytodet::tiling
