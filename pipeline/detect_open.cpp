#include "pipeline/detect_open.h"

#include <algorithm>

#include "core/error.h"
#include "core/timing.h"
#include "tiling/background.h"

namespace cytodet {
namespace {

Tile whole(const Slide& slide) {
  Tile t;
  t.width = static_cast<int>(slide.width());
  t.height = static_cast<int>(slide.height());
  t.area = {0, 0, static_cast<double>(t.width), static_cast<double>(t.height)};
  t.side = std::max(t.width, t.height);
  t.slide_left = t.slide_top = t.slide_right = t.slide_bottom = true;
  return t;
}

void cut(OpenPicture& p, const OpenOptions& o) {
  const Slide& s = *p.slide;
  const int64_t side = 2 * std::max(o.input->width, o.input->height);
  const std::string& mode = o.settings->mode;
  if (mode == "image" && asks_resolution(o.settings->tiling))
    throw Error("", "mode image shrinks the whole picture whatever level, mpp or scale is asked for", "leave one of them out");
  p.result.slide = mode == "slide" || (mode == "auto" && (asks_resolution(o.settings->tiling) || s.levels.size() > 1 ||
                                                          !s.damage.empty() || s.width() > side || s.height() > side));
  if (p.result.slide)
    p.tiles = make_grid(s, o.settings->tiling);
  else if (s.width() > kMaxImagePixels / s.height())
    throw Error("", "is too large to be shrunk as one image", "use --mode slide");
  else
    p.tiles = {whole(s)};
  p.result.tiles = static_cast<int>(p.tiles.size());
}

void choose_tiles(OpenPicture& p, const OpenOptions& o) {
  PictureResult& r = p.result;
  if (o.roi) {
    p.roi = o.roi->of(r.path);
    if (!p.roi) {
      r.skipped = o.settings->roi + kNoRegion;
      r.outside_tiles = r.tiles;
      return;
    }
    std::erase_if(p.tiles, [&](const Tile& t) { return !p.roi->touches(t.area); });
    r.outside_tiles = r.tiles - static_cast<int>(p.tiles.size());
    if (p.tiles.empty()) r.skipped = "no tile touches a region of interest";
  }
  const BackgroundMethod& method = background_method(o.settings->background);
  if (!r.slide || p.tiles.empty() || (!method.cells && !o.mask)) return;
  const CellMask mask = cell_mask(*p.slide, method);
  if (o.mask) {
    r.mask = mask_picture(mask);
    r.mask_method = method.name;
  }
  if (!method.cells) return;
  std::erase_if(p.tiles, [&](const Tile& t) { return !mask.touches(t.area); });
  r.background_tiles = r.tiles - r.outside_tiles - static_cast<int>(p.tiles.size());
  if (p.tiles.empty()) r.skipped = "all of its " + std::to_string(r.background_tiles) + " tiles are background";
}

}  // namespace

std::shared_ptr<OpenPicture> open_picture(const std::string& path, const OpenOptions& options) {
  Stopwatch watch;
  auto p = std::make_shared<OpenPicture>();
  p->result.path = path;
  try {
    p->slide = open_slide(path, options.settings->selection);
    p->result.width = p->slide->width();
    p->result.height = p->slide->height();
    p->result.damage = p->slide->damage;
    p->result.selection = p->slide->selection;
    p->result.warnings = p->slide->warnings;
    p->result.mpp = p->slide->mpp_x;
    p->result.mpp_source = p->slide->mpp_source;
    if (!p->result.mpp && options.settings->tiling.assume_mpp) {
      p->result.mpp = options.settings->tiling.assume_mpp;
      p->result.mpp_source = "assumed";
    }
    try {
      cut(*p, options);
      choose_tiles(*p, options);
    } catch (const Error& e) {
      throw e.within(path);
    }
    p->bad_limit = bad_tile_limit(options.settings->max_bad_tiles, p->result.tiles_run());
  } catch (const Error& e) {
    p->result.problem = e.what();
  } catch (const std::bad_alloc&) {
    p->result.problem = path + ": out of memory; use a smaller image";
  }
  if (!p->result.done()) p->tiles.clear();
  p->result.times.open_ms = watch.ms();
  return p;
}

}  // namespace cytodet
