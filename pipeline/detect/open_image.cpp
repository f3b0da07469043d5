#include "pipeline/detect/open_image.h"

#include <algorithm>

#include "core/error.h"
#include "core/timing.h"
#include "tiling/background/background.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::pipeline {
namespace {

constexpr double kStretched = 1.05;

Tile whole(const PixelArea& scanned) {
  Tile t;
  t.x = scanned.x;
  t.y = scanned.y;
  t.width = static_cast<int>(scanned.width);
  t.height = static_cast<int>(scanned.height);
  t.area = box_of(scanned);
  t.side = t.side_y = std::max(t.width, t.height);
  t.slide_left = t.slide_top = t.slide_right = t.slide_bottom = true;
  return t;
}

void cut(OpenPicture& p, const OpenOptions& o) {
  const Slide& s = *p.slide;
  const PixelArea scanned = scanned_area(s);
  const int64_t side = 2 * std::max(o.input->width, o.input->height);
  const std::string& mode = o.settings->mode;
  if (mode == "image" && asks_resolution(o.settings->tiling))
    throw Error("", "mode image shrinks the whole picture whatever level, mpp or scale is asked for", "leave one of them out");
  p.result.slide = mode == "slide" || (mode == "auto" && (asks_resolution(o.settings->tiling) || s.levels.size() > 1 ||
                                                          !s.damage.empty() || scanned.width > side || scanned.height > side));
  if (p.result.slide)
    p.tiles = make_grid(s, o.settings->tiling);
  else if (scanned.width > kMaxImagePixels / scanned.height)
    throw Error("", "is too large to be shrunk as one image", "use --mode slide");
  else
    p.tiles = {whole(scanned)};
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
    p.roi->to_slide_frame(p.slide->bounds, origin_named(o.settings->origin, "detect.origin"));
    std::erase_if(p.tiles, [&](const Tile& t) { return !p.roi->touches(t.area); });
    r.outside_tiles = r.tiles - static_cast<int>(p.tiles.size());
    if (p.tiles.empty()) r.skipped = "no tile touches a region of interest";
  }
  const BackgroundMethod& method = background_method(o.settings->background);
  if (!r.slide || p.tiles.empty() || (!method.cells && !o.mask)) return;
  const CellMask mask = cell_mask(*p.slide, method);
  if (o.mask) {
    r.mask = mask_image(mask);
    r.mask_method = method.name;
  }
  if (!method.cells) return;
  std::erase_if(p.tiles, [&](const Tile& t) { return !mask.touches(t.area); });
  r.background_tiles = r.tiles - r.outside_tiles - static_cast<int>(p.tiles.size());
  if (p.tiles.empty()) r.skipped = "all of its " + std::to_string(r.background_tiles) + " tiles are background";
}

// Level-0 pixels that are looked at, and those of them in tiles that are run.
void measure_areas(OpenPicture& p) {
  const Box scanned = box_of(scanned_area(*p.slide));
  const std::vector<Box> parts = scanned_parts(*p.slide);
  Roi all;
  all.add(scanned);
  const Roi& regions = p.roi ? *p.roi : all;
  p.result.analysed_px = p.result.run_px = regions.area(scanned, parts);
  if (p.result.background_tiles == 0) return;
  std::vector<Box> run;
  for (const Tile& t : p.tiles)
    for (const Box& part : parts)
      if (intersection(t.area, part) > 0)
        run.push_back({std::max(t.area.x0, part.x0), std::max(t.area.y0, part.y0), std::min(t.area.x1, part.x1),
                       std::min(t.area.y1, part.y1)});
  p.result.run_px = regions.area(scanned, run);
}

// Cells on pixels that are not square look stretched to the network, unless a working resolution in micrometres is asked for.
std::string stretch_warning(const Slide& s, const TilingSettings& tiling) {
  if (tiling.mpp || !s.mpp_x || !s.mpp_y) return "";
  const double ratio = *s.mpp_x / *s.mpp_y;
  if (ratio < kStretched && ratio > 1 / kStretched) return "";
  return "pixels are " + pixel_size_text(*s.mpp_x, *s.mpp_y) +
         " micrometres, not square: the network sees cells stretched; --mpp scales both ways alike";
}

void describe_slide(PictureResult& r, const Slide& s) {
  r.width = s.width();
  r.height = s.height();
  r.bounds = s.bounds;
  r.damage = s.damage;
  r.selection = s.selection;
  r.warnings = s.warnings;
  r.mpp = s.mpp_x;
  r.mpp_y = s.mpp_y;
  r.mpp_source = s.mpp_source;
  r.mpp_warning = s.mpp_warning;
}

}  // namespace

std::shared_ptr<OpenPicture> open_picture(const std::string& path, const OpenOptions& options) {
  Stopwatch watch;
  auto p = std::make_shared<OpenPicture>();
  p->result.path = path;
  try {
    std::unique_ptr<Slide> slide = options.open ? options.open() : open_slide(path, options.settings->selection);
    settle_pixel_size(*slide, options.settings->tiling);
    p->slide = std::move(slide);
    describe_slide(p->result, *p->slide);
    if (p->slide->parts.size() > 1) p->parts = scanned_parts(*p->slide);
    if (const std::string w = stretch_warning(*p->slide, options.settings->tiling); !w.empty())
      p->result.mpp_warning += (p->result.mpp_warning.empty() ? "" : "; ") + w;
    try {
      cut(*p, options);
      choose_tiles(*p, options);
      if (p->result.done()) measure_areas(*p);
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

}  // namespace cytodet::pipeline
