// The layout of .kfb slides (KFBio scanners), little endian, as independent readers of real files describe it:
//
//   0x00 F1 01 EE EE "KFB\0"   0x10 tiles  0x14 height  0x18 width  0x1C scan scale (20, 40)  0x20 "JPEG"
//   0x34, 0x38 offsets of the macro's and the label's sections   0x44 offset of the tile index   0x4C micrometres per pixel
//   (float) 0x58 side of a tile
//
// The index holds 64 bytes a tile: F1 04 EE EE, x, y, width, height, scale (float: the scan scale at level 0, halved at each
// further), bytes of its JPEG at +32, its place at +36: 64 bits, from the start of the index (negative: the data lie before it).
// Readers differ in two points, and so may writers: whether that place can be trusted or the tiles merely follow the first one,
// and whether x is written or follows from a tile's rank in its row. Both are decided by what the file itself agrees with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cytodet::tiling {

struct KfbTile {
  int64_t column = 0, row = 0;  // of the level's grid of tiles
  int width = 0, height = 0;    // smaller than the side at the level's edges
  int64_t offset = 0, bytes = 0;
};

struct KfbLevel {
  double scale = 0;
  int64_t width = 0, height = 0;
  std::vector<KfbTile> tiles;  // sorted by row, then column; tiles may be left out
};

struct KfbFile {
  int64_t width = 0, height = 0;
  int tile_side = 0;
  double scan_scale = 0, mpp = 0;  // mpp 0: not stated
  std::vector<KfbLevel> levels;    // finest first
};

// Reads with pread from a file of `size` bytes. Counts, offsets and sizes are checked against it before anything is allocated or
// read. Throws Error on damage, and on fluorescence slides ("KFBF").
KfbFile read_kfb(int fd, int64_t size);

}  // namespace cytodet::tiling
