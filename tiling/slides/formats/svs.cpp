// Aperio .svs read as the tiled JPEG TIFF it is. ImageDescription: "Aperio ...|AppMag = 20|MPP = 0.4990|...". What is not plain
// JPEG (JPEG 2000), and slides with stored tiles left out, which OpenSlide draws from finer levels, are left to OpenSlide.
#include "core/error.h"
#include "tiling/slides/formats/format_entries.h"
#include "tiling/slides/formats/tiff_slide.h"

namespace cytodet::tiling {

// Whether every tiled image is a plain JPEG without gaps, and there is one image.
static bool is_simple(TiffFile& file, const TiffContents& held) {
  for (const TiffPage& page : held.chain) {
    if (!page.problem.empty()) return false;
    if (!page.image.tiled) continue;
    const TiffDirectory d = file.open(false, page.image.where);
    if (!d.plain_jpeg || !file.complete(d)) return false;
  }
  return true;
}

std::unique_ptr<Slide> open_svs(const std::string& path, const ImageSelection& selection) {
  bool several = false;
  int planes = 1;
  size_t tiled = 0;
  try {
    TiffFile file(path);
    const TiffDirectory first = file.open(false, 0);
    if (!first.tiled || !file.description().starts_with("Aperio") || first.orientation != 1) return nullptr;
    const TiffContents held = tiff_contents(file);
    several = held.series[0].images.size() > 1;
    planes = held.series[0].planes;
    if (!several && !is_simple(file, held)) return nullptr;
    for (const TiffPage& page : held.chain) tiled += page.image.tiled;
  } catch (const Error&) {
    return nullptr;  // the entries below say what is wrong with it
  }
  std::unique_ptr<TiffSlide> slide;
  try {
    slide = std::make_unique<TiffSlide>(path, selection);
  } catch (const Error& e) {
    if (planes < 2) throw;
    throw Error(e.where(), "holds " + std::to_string(planes) + " focal planes, which OpenSlide does not read: " + e.problem(),
                e.fix());
  }
  // OpenSlide: every tiled image is a level.
  if (!several && !selection.page && slide->levels.size() != tiled) return nullptr;
  return slide;
}

}  // namespace cytodet::tiling
