// What reading all tiles of a slide will take, from a few tiles read now. Stored blocks (tiles, strips) are counted once however
// many tiles share them, as reading does.
#pragma once

#include <vector>

#include "tiling/tiles/grid.h"

namespace cytodet::pipeline {

struct ReadEstimate {
  int measured = 0;        // tiles read
  double decode_ms = 0;    // of all stored blocks together; 0 where a format does not report blocks
  double tile_ms = 0;      // of a tile, without decoding where that is known by itself
  bool in_order = false;   // decoding is the work of one thread
  int64_t kept_bytes = 0;  // most that is kept of decoded pixels
  // Milliseconds of one thread per tile, decoding shared out.
  double ms_per_tile(size_t tiles) const { return tile_ms + decode_ms / static_cast<double>(tiles); }
  // Seconds for all tiles on `streams` threads that spend `other_ms` of other work on each tile.
  double seconds(size_t tiles, double other_ms, int streams) const;
};

// Reads at least three of the tiles where there are as many, more of them within half a second. What the slide throws is passed
// on.
ReadEstimate estimate_reading(const Slide& slide, const std::vector<Tile>& tiles);

// The i-th of a sequence of tiles spread over all of them.
size_t spread_tile(size_t tiles, size_t i);

}  // namespace cytodet::pipeline
