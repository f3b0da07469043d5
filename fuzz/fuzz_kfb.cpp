#include "fuzz/driver.h"
#include "tests/paths.h"
#include "tiling/slides/slide.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/tiling/kfb/sample.kfb"}; }

// The magic is put back, so that mutations reach what lies behind it.
void fuzz_one(std::string_view bytes) {
  std::string whole(bytes);
  whole.replace(0, std::min<size_t>(whole.size(), 8), "\xf1\x01\xee\xeeKFB\0", 8);
  const fuzz::ScratchFile file("fuzz_kfb", whole);
  std::unique_ptr<cytodet::Slide> slide = cytodet::open_slide(file.path);
  cytodet::Image piece(120, 90);
  for (size_t level = 0; level < slide->levels.size() && level < 6; ++level)
    for (int shrink : {1, 2}) {
      const cytodet::LevelInfo& l = slide->levels[level];
      slide->read_downsampled(static_cast<int>(level), l.width / 2, l.height / 4, piece.width, piece.height, shrink,
                              piece.rgb.data());
    }
}
