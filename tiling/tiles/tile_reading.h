// Reading tiles of slides that are damaged in places.
#pragma once

#include <string>

#include "tiling/tiles/grid.h"

namespace cytodet::tiling {

struct TileImage {
  Image image;
  bool fell_back = false;  // parts of it are from another level, its own being damaged there;
  bool coarser = false;    // some parts are from a coarser level, enlarged
  bool damaged = false;    // parts are white since no level holds them, or from a level over twice as coarse as the tile
  bool empty = false;      // nothing of it could be read from any level: it is all white
  std::string damage;      // first error met; empty: none
};

// Like read_tile. If the tile is damaged (read_tile throws Error), its pixels come from, in this order:
//  1. the area of the tile in the next finer level that can be read, resized;
//  2. the stored tiles of its own level that can be read, and for each of the others the next finer level that holds it, then the
//     next coarser one, then white. Stored tiles of fewer than 64 pixels count as 64, as do formats that do not give their size.
TileImage read_tile_tolerant(const Slide& slide, const Tile& tile);

// The slide, for images that people look at: reading never fails, what is damaged is filled as above.
std::unique_ptr<Slide> with_damage_filled(std::shared_ptr<const Slide> slide);

}  // namespace cytodet::tiling
