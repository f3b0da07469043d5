// The tile grid over a slide.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/box.h"
#include "core/json_fwd.h"
#include "tiling/slides/slide.h"

namespace cytodet::tiling {

struct TilingSettings {
  int tile_px = 640;                 // width of a tile, in pixels of the working resolution
  int overlap_px = 160;              // shared by neighbours, same pixels
  std::optional<int> level;          // working resolution: that of a pyramid level,
  std::optional<double> mpp;         // or micrometres per pixel,
  std::optional<double> scale;       // or working pixels per level-0 pixel (0..1]; none: 1
  std::optional<double> assume_mpp;  // for slides that do not say
  std::vector<double> set_mpp;       // instead of what slides say: of square pixels, or x and y
  bool fit_edges = false;            // the last row and column are only as large as what is left to cover, see TileShape
};
void fields(Fields& f, TilingSettings& s);
// Throws UsageError on impossible values.
void check(const TilingSettings& s);
// Whether a working resolution is asked for, be it the full one.
inline bool asks_resolution(const TilingSettings& s) { return s.level || s.mpp || s.scale; }

// What a network asks of tiles.
struct TileShape {
  double height = 1;              // of a tile; its width is 1
  double step_x = 0, step_y = 0;  // of its width and height: smaller tiles are multiples of them; 0: all tiles are whole
};

struct Tile {
  int index = 0;
  Box area;              // level-0 pixels, inside the slide
  double side = 0;       // level-0 pixels of a whole tile across,
  double side_y = 0;     // and down; area is smaller only when the slide is
  int level = 0;         // to read from
  int64_t x = 0, y = 0;  // in pixels of that level
  int width = 0, height = 0;
  int downsample_factor = 1;  // factor x factor level pixels become one of read_tile's
  double pixel = 1;           // level-0 pixels per pixel of read_tile's
  bool slide_left = false, slide_top = false, slide_right = false, slide_bottom = false;  // edges that are the slide's own
};

// Working pixels per level-0 pixel, across and down; above 1 only where mpp asks for more than the slide holds. They differ where
// mpp is asked of a slide whose pixels are not square. Errors: a level that does not exist, an mpp for a slide that has none.
struct WorkingScale {
  double x = 1, y = 1;
};
WorkingScale working_scale(const Slide& slide, const TilingSettings& s);

// Rows of tiles that cover what was scanned of the slide, left to right, top to bottom. The last row and column are shifted
// inwards; with fit_edges they are first made as small as the shape's steps allow, so that they share less with their neighbours.
// Tiles are read from the coarsest level that still holds the working resolution, and reduced by a whole number where
// that level is twice as fine or more. Tiles have their shape at the working resolution: where pixels are not, their sides in
// level pixels differ. Tiles that hold nothing of a slide's scanned parts are left out. Throws UsageError where the overlap is
// over three quarters of a tile's height.
std::vector<Tile> make_grid(const Slide& slide, const TilingSettings& s, const TileShape& shape = {});

// Pixels of a tile: ceil(width / factor) x ceil(height / factor), each the mean of the level pixels it covers. What the slide
// throws is passed on.
Image read_tile(const Slide& slide, const Tile& tile);

}  // namespace cytodet::tiling
