// Reading tiles of slides that are damaged in places.
#pragma once

#include <string>

#include "tiling/tiles/grid.h"

namespace cytodet::tiling {

struct TileImage {
  Image image;
  bool fell_back = false;  // parts of it are from another level, its own being damaged there;
  bool coarser = false;    // some of these from a coarser one, enlarged
  bool damaged = false;    // parts are white since no level holds them, or from a level over twice as coarse as the tile
  bool empty = false;      // nothing of it could be read from any level: it is all white
  std::string damage;      // first error met; empty: none
};

// read_tile, and where that fails the same area of the next finer levels, resized. Where these fail too, the stored tiles of the
// tile's own level that can be read (of 64 pixels at least, or where a format does not tell how it is stored), and for each of
// the others the next finer level that holds it, then the next coarser one, then white. Only damage is worked around (Error).
TileImage read_tile_tolerant(const Slide& slide, const Tile& tile);

// The slide, for images that people look at: reading never fails, what is damaged is filled as above.
std::unique_ptr<Slide> with_damage_filled(std::shared_ptr<const Slide> slide);

}  // namespace cytodet::tiling
