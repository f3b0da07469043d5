#include "fuzz/driver.h"
#include "tests/paths.h"
#include "tiling/slides/slide.h"

std::vector<std::string> fuzz_seeds() {
  const std::string data = cytodet::source_dir() + "/tests/data/";
  return {data + "tiling/formats",
          data + "tiling/forms",
          data + "tiling/svs",
          data + "corrupt",
          data + "slides/boxes.tiff",
          data + "slides/small.svs",
          data + "slides/test_orient1.tif"};
}

void fuzz_one(std::string_view bytes) {
  const fuzz::ScratchFile file("fuzz_image", bytes);
  std::unique_ptr<cytodet::Slide> slide = cytodet::open_slide(file.path);
  cytodet::Image piece(300, 200);
  for (size_t level = 0; level < slide->levels.size() && level < 8; ++level)
    for (int i = 0; i < 3; ++i) {
      const cytodet::LevelInfo& l = slide->levels[level];
      slide->read(static_cast<int>(level), i * l.width / 2 - 150, i * l.height / 2 - 100, piece.width, piece.height,
                  piece.rgb.data());
      slide->read_downsampled(static_cast<int>(level), l.width / 16 * 8, l.height / 16 * 8, piece.width, piece.height, 2 << i,
                              piece.rgb.data());
    }
}
