// Which parts of a slide hold cells or tissue, found on a small image of it, so that tiles of bare glass need no network.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/box.h"
#include "tiling/slides/slide.h"

namespace cytodet::tiling {

enum class BackgroundMethod { none, otsu, variance };
const char* name_of(BackgroundMethod method);
// Throws UsageError naming the known ones.
BackgroundMethod background_method_named(const std::string& name);

// An entry: which pixels of a small image may belong to cells (1) and which are background (0).
struct BackgroundMethodEntry {
  BackgroundMethod method;
  const char* name;
  const char* summary;
  std::vector<uint8_t> (*cells)(const Image& image);  // null: everything is cells
};
std::span<const BackgroundMethodEntry> background_methods();

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
CellMask cell_mask(const Slide& slide, BackgroundMethod method);

// The image with its background darkened.
Image mask_image(const CellMask& mask);

}  // namespace cytodet::tiling
