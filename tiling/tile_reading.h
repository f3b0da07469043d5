// Reading tiles of slides that are damaged in places.
#pragma once

#include <string>

#include "tiling/grid.h"

namespace cytodet {

struct TileImage {
  Image image;
  bool fell_back = false;  // from a finer level, its own being damaged there
  bool damaged = false;    // no level holds all of it: the damaged parts are white
  std::string damage;      // first error met; empty: none
};

// read_tile, and where that fails the same area of the next finer levels, resized; where these fail too, what can be read of the
// tile's own level, piece by piece, pieces being halved down to 64 pixels. Only damage is worked around (Error).
TileImage read_tile_anyway(const Slide& slide, const Tile& tile);

// The slide, for pictures that people look at: reading never fails, what is damaged is white, in pieces down to 64 pixels.
std::unique_ptr<Slide> with_damage_white(std::shared_ptr<const Slide> slide);

}  // namespace cytodet
