#include "tiling/grid.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace cytodet {
namespace {

// Starts of tiles of `side` along `length`, neighbours sharing at least `overlap`.
std::vector<double> starts(double length, double side, double overlap) {
  if (length <= side) return {0};
  double step = side - overlap;
  int64_t count = static_cast<int64_t>(std::ceil((length - side) / step - 1e-9)) + 1;
  std::vector<double> at;
  for (int64_t i = 0; i < count; ++i) at.push_back(std::min(static_cast<double>(i) * step, length - side));
  return at;
}

}  // namespace

void fields(Fields& f, TilingSettings& s) {
  f("tile_px", s.tile_px);
  f("overlap_px", s.overlap_px);
  f("level", s.level);
  f("mpp", s.mpp);
  f("scale", s.scale);
  f("assume_mpp", s.assume_mpp);
}

void check(const TilingSettings& s) {
  if (s.tile_px < 16 || s.tile_px > 16384) throw UsageError("tiling.tile_px", "must be 16 to 16384, not " + std::to_string(s.tile_px));
  if (s.overlap_px < 0 || s.overlap_px > s.tile_px * 3 / 4)
    throw UsageError("tiling.overlap_px", "must be 0 to three quarters of the tile (" + std::to_string(s.tile_px * 3 / 4) + "), not " + std::to_string(s.overlap_px));
  if (int(s.level.has_value()) + int(s.mpp.has_value()) + int(s.scale.has_value()) > 1)
    throw UsageError("tiling", "level, mpp and scale exclude each other", "give one of them");
  if (s.scale && !(*s.scale > 1e-4 && *s.scale <= 1)) throw UsageError("tiling.scale", "must be above 0.0001 and at most 1");
  if (s.mpp && !(*s.mpp > 0 && *s.mpp < 1000)) throw UsageError("tiling.mpp", "must be above 0 and below 1000 micrometres per pixel");
  if (s.assume_mpp && !(*s.assume_mpp > 0 && *s.assume_mpp < 1000)) throw UsageError("tiling.assume_mpp", "must be above 0 and below 1000 micrometres per pixel");
}

double working_scale(const Slide& slide, const TilingSettings& s) {
  if (s.level) {
    if (*s.level < 0 || *s.level >= static_cast<int>(slide.levels.size()))
      throw Error("level " + std::to_string(*s.level), "does not exist: the slide has " + std::to_string(slide.levels.size()), "use 0 to " + std::to_string(slide.levels.size() - 1));
    return 1 / slide.levels[static_cast<size_t>(*s.level)].downsample;
  }
  if (s.mpp) {
    std::optional<double> own = slide.mpp_x ? slide.mpp_x : s.assume_mpp;
    if (!own) throw Error("", "does not say its micrometres per pixel (no openslide.mpp-x, no TIFF XResolution)", "give --assume-mpp");
    return std::min(1.0, *own / *s.mpp);
  }
  return s.scale.value_or(1.0);
}

std::vector<Tile> make_grid(const Slide& slide, const TilingSettings& s) {
  check(s);
  const double scale = working_scale(slide, s);
  const double side = s.tile_px / scale, overlap = s.overlap_px / scale;
  int level = 0;
  for (size_t i = 0; i < slide.levels.size(); ++i)
    if (slide.levels[i].downsample <= 1 / scale * 1.001 && slide.levels[i].downsample > slide.levels[static_cast<size_t>(level)].downsample) level = static_cast<int>(i);
  const LevelInfo& info = slide.levels[static_cast<size_t>(level)];
  const double w = static_cast<double>(slide.width()), h = static_cast<double>(slide.height());
  if (w / (side - overlap) * (h / (side - overlap)) > 1e8) throw Error("", "would be cut into more than 100 million tiles", "use a larger tile or a lower resolution");
  std::vector<Tile> tiles;
  for (double y : starts(h, side, overlap))
    for (double x : starts(w, side, overlap)) {
      Tile t;
      t.index = static_cast<int>(tiles.size());
      t.side = side;
      t.level = level;
      t.x = std::llround(x / info.downsample);
      t.y = std::llround(y / info.downsample);
      t.width = static_cast<int>(std::min<int64_t>(std::llround(side / info.downsample), info.width - t.x));
      t.height = static_cast<int>(std::min<int64_t>(std::llround(side / info.downsample), info.height - t.y));
      if (t.width <= 0 || t.height <= 0) continue;
      double x0 = static_cast<double>(t.x) * info.downsample, y0 = static_cast<double>(t.y) * info.downsample;
      t.area = {x0, y0, std::min(w, x0 + t.width * info.downsample), std::min(h, y0 + t.height * info.downsample)};
      t.slide_left = t.x == 0;
      t.slide_top = t.y == 0;
      t.slide_right = t.x + t.width >= info.width;
      t.slide_bottom = t.y + t.height >= info.height;
      tiles.push_back(t);
    }
  return tiles;
}

Image read_tile(const Slide& slide, const Tile& t) {
  Image image(t.width, t.height);
  slide.read(t.level, t.x, t.y, t.width, t.height, image.rgb.data());
  return image;
}

}  // namespace cytodet
