#include "fuzz/driver.h"
#include "tests/paths.h"
#include "tiling/background/background.h"
#include "tiling/tiles/region.h"
#include "tiling/tiles/tile_reading.h"

std::vector<std::string> fuzz_seeds() {
  const std::string data = cytodet::source_dir() + "/tests/data/";
  return {data + "tiling/kfb/sample.kfb", data + "tiling/svs", data + "slides/boxes.tiff", data + "slides/small.svs",
          data + "slides/test_orient1.tif"};
}

// A slide that opens gives each tile, a mask and a thumbnail, whatever its pixels are: only opening may fail.
void fuzz_one(std::string_view bytes) {
  const fuzz::ScratchFile file("fuzz_tiles", bytes);
  const std::shared_ptr<const cytodet::Slide> slide = cytodet::open_slide(file.path);
  if (slide->width() > 20000 || slide->height() > 20000) return;  // white for the most, and slow to say so
  for (int level = 0; level < static_cast<int>(slide->levels.size()) && level < 4; ++level) {
    cytodet::TilingSettings s;
    s.tile_px = 100;
    s.overlap_px = 20;
    s.level = level;
    const std::vector<cytodet::Tile> tiles = make_grid(*slide, s);
    for (size_t i = 0; i < tiles.size(); i += 1 + tiles.size() / 8) {
      cytodet::Tile tile = tiles[i];
      tile.downsample_factor = 1 + static_cast<int>(i % 3);
      const cytodet::TileImage t = read_tile_tolerant(*slide, tile);
      if (t.image.width != (tile.width + tile.downsample_factor - 1) / tile.downsample_factor) std::abort();
    }
  }
  const std::unique_ptr<cytodet::Slide> filled = with_damage_filled(slide);
  cytodet::thumbnail(*filled, 64);
  cytodet::cell_mask(*filled, cytodet::BackgroundMethod::otsu);
}
