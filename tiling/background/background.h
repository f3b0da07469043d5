// Which parts of a slide hold cells or tissue, found on a small image of it, so that tiles of bare glass need no network.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/box.h"
#include "tiling/slides/slide.h"

namespace cytodet::tiling {

// An entry: which pixels of a small image may belong to cells (1) and which are background (0).
struct BackgroundMethod {
  const char* name;
  const char* summary;
  std::vector<uint8_t> (*cells)(const Image& image);  // null: everything is cells
};
std::span<const BackgroundMethod> background_methods();
// Throws UsageError naming the known ones.
const BackgroundMethod& background_method(const std::string& name);

struct CellMask {
  Image image;
  std::vector<uint8_t> cells;       // per pixel of the image
  double pixel_x = 1, pixel_y = 1;  // level-0 pixels per pixel
  double left = 0, top = 0;         // level-0 place of its corner

  // Whether the area (level-0 pixels) comes near a cell: within 8 pixels of the image, since
  // the middle of a cell may be as pale as glass.
  bool touches(const Box& area) const;
};

// The mask of the scanned part of the slide, from the coarsest level on which it is at least 2048 pixels long, downsampled to at
// most 4096. Parts that cannot be read count as cells.
CellMask cell_mask(const Slide& slide, const BackgroundMethod& method);

// The image with its background darkened.
Image mask_image(const CellMask& mask);

}  // namespace cytodet::tiling
