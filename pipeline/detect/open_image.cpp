#include "pipeline/detect/open_image.h"

#include <algorithm>
#include <cmath>

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

// Level-0 pixels that are looked at, and those of them in tiles that are run.
void measure_areas(OpenImage& p) {
  const Box scanned = box_of(scanned_area(*p.slide));
  const std::vector<Box> parts = scanned_parts(*p.slide);
  Roi all;
  all.add(scanned);
  const Roi& regions = p.roi ? *p.roi : all;
  p.result.analysed_px = p.result.run_px = regions.area(scanned, parts);
  if (p.result.background_tiles + p.result.silent_tiles == 0) return;
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

void describe_slide(DetectedImage& r, const Slide& s) {
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

ImageOpener::ImageOpener(const DetectSettings& settings, const InputSettings& input, const TileShape& shape, bool masks)
    : settings_(settings), input_(input), shape_(shape), masks_(masks) {
  if (!settings.roi.empty()) roi_.emplace(settings.roi, roi_choice(settings));
}

void ImageOpener::cut(OpenImage& p) const {
  const Slide& s = *p.slide;
  const PixelArea scanned = scanned_area(s);
  const int64_t side = longest_whole_side(input_);
  const bool asks = asks_resolution(settings_.tiling);
  if (settings_.mode == DetectMode::image && asks)
    throw Error("", "mode image shrinks the whole image whatever level, mpp or scale is asked for", "leave one of them out");
  const bool large = s.levels.size() > 1 || !s.damage.empty() || scanned.width > side || scanned.height > side;
  p.result.tiled = settings_.mode == DetectMode::slide || (settings_.mode == DetectMode::automatic && (asks || large));
  if (p.result.tiled)
    p.tiles = make_grid(s, settings_.tiling, shape_);
  else if (scanned.width > kMaxImagePixels / scanned.height)
    throw Error("", "is too large to be shrunk as one image", "use --mode slide");
  else
    p.tiles = {whole(scanned)};
  p.result.tiles = static_cast<int>(p.tiles.size());
}

// false: nothing is left to run.
bool ImageOpener::keep_in_regions(OpenImage& p) const {
  DetectedImage& r = p.result;
  p.roi = roi_->of(r.path);
  if (!p.roi) {
    r.skip(settings_.roi + kNoRegion);
    r.outside_tiles = r.tiles;
    return false;
  }
  p.roi->to_slide_frame(p.slide->bounds, settings_.origin);
  std::erase_if(p.tiles, [&](const Tile& t) { return !p.roi->touches(t.area); });
  r.outside_tiles = r.tiles - static_cast<int>(p.tiles.size());
  if (p.tiles.empty()) r.skip("no tile touches a region of interest");
  return !p.tiles.empty();
}

void ImageOpener::skip_background(OpenImage& p) const {
  const bool all = settings_.background == BackgroundMethod::none;
  if (all && !masks_) return;
  DetectedImage& r = p.result;
  const CellMask mask = cell_mask(*p.slide, settings_.background);
  if (masks_) r.mask = mask_image(mask);
  if (all) return;
  std::erase_if(p.tiles, [&](const Tile& t) { return !mask.touches(t.area); });
  r.background_tiles = r.tiles - r.outside_tiles - static_cast<int>(p.tiles.size());
  if (p.tiles.empty()) r.skip("all of its " + std::to_string(r.background_tiles) + " tiles are background");
}

void ImageOpener::choose_tiles(OpenImage& p) const {
  if (roi_ && !keep_in_regions(p)) return;
  if (p.result.tiled && !p.tiles.empty()) skip_background(p);
  if (settings_.cascade && p.result.tiled && !p.tiles.empty()) plan_look(p);
}

// The first look's grid, and of its tiles those that share something with one that is to run.
void ImageOpener::plan_look(OpenImage& p) const {
  TilingSettings coarse = settings_.tiling;
  const double scale = settings_.cascade->scale;
  if (coarse.mpp) {
    *coarse.mpp /= scale;
  } else {
    coarse.scale = std::min(1.0, working_scale(*p.slide, settings_.tiling).x) * scale;
    coarse.level.reset();
  }
  coarse.overlap_px = static_cast<int>(std::ceil(coarse.overlap_px * scale));
  p.look = make_grid(*p.slide, coarse, shape_);
  std::erase_if(p.look, [&](const Tile& wide) {
    return std::none_of(p.tiles.begin(), p.tiles.end(), [&](const Tile& t) { return intersection(t.area, wide.area) > 0; });
  });
  p.look_left = p.look.size();
}

void ImageOpener::keep_seen(OpenImage& p) {
  const auto before = static_cast<int>(p.tiles.size());
  std::erase_if(p.tiles, [&](const Tile& t) {
    return std::none_of(p.seen.begin(), p.seen.end(), [&](const Box& b) {
      return b.x0 < t.area.x1 && b.x1 > t.area.x0 && b.y0 < t.area.y1 && b.y1 > t.area.y0;
    });
  });
  p.result.silent_tiles = before - static_cast<int>(p.tiles.size());
  measure_areas(p);
}

std::shared_ptr<OpenImage> ImageOpener::open(const std::string& path, const Source& source) const {
  Stopwatch watch;
  auto p = std::make_shared<OpenImage>();
  DetectedImage& r = p->result;
  r.path = path;
  try {
    std::unique_ptr<Slide> slide = source ? source() : open_slide(path, settings_.selection);
    settle_pixel_size(*slide, settings_.tiling);
    p->slide = std::move(slide);
    describe_slide(r, *p->slide);
    if (p->slide->parts.size() > 1) p->parts = scanned_parts(*p->slide);
    if (const std::string w = stretch_warning(*p->slide, settings_.tiling); !w.empty())
      r.mpp_warning += (r.mpp_warning.empty() ? "" : "; ") + w;
    try {
      cut(*p);
      choose_tiles(*p);
      if (!r.skipped()) measure_areas(*p);
    } catch (const Error& e) {
      throw e.within(path);
    }
    p->bad_limit = bad_tile_limit(settings_.max_bad_tiles, r.tiles_run());
  } catch (const Error& e) {
    r.fail(e.what());
  } catch (const std::bad_alloc&) {
    r.fail(path + ": out of memory; use a smaller image");
  }
  if (r.state != ImageState::waiting) p->tiles.clear(), p->look.clear();
  r.times.open = watch.ms() / 1000;
  return p;
}

}  // namespace cytodet::pipeline
