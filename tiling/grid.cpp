#include "tiling/grid.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace cytodet {
namespace {

constexpr int kMaxTiles = 2'000'000;

// Starts of tiles of `side` along `length`, neighbours sharing `overlap`, the last pair at least that; all multiples of `shrink`,
// as side and overlap are, so that a codec can shrink.
std::vector<int64_t> starts(int64_t length, int64_t side, int64_t overlap, int shrink) {
  std::vector<int64_t> at;
  for (int64_t x = 0; x + side < length; x += side - overlap) at.push_back(x);
  at.push_back((std::max<int64_t>(0, length - side) + shrink - 1) / shrink * shrink);
  return at;
}

int coarsest_level(const Slide& slide, double downsample) {
  size_t best = 0;
  for (size_t i = 0; i < slide.levels.size(); ++i)
    if (slide.levels[i].downsample <= downsample * 1.001 && slide.levels[i].downsample > slide.levels[best].downsample) best = i;
  return static_cast<int>(best);
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
  if (s.tile_px < 16 || s.tile_px > 8192)
    throw UsageError("tiling.tile_px", "must be 16 to 8192, not " + std::to_string(s.tile_px));
  if (s.overlap_px < 0 || s.overlap_px > s.tile_px * 3 / 4)
    throw UsageError("tiling.overlap_px", "must be 0 to three quarters of the tile (" + std::to_string(s.tile_px * 3 / 4) +
                                              "), not " + std::to_string(s.overlap_px));
  if (s.level && *s.level < 0) throw UsageError("tiling.level", "must be 0 or more, not " + std::to_string(*s.level));
  if (int(s.level.has_value()) + int(s.mpp.has_value()) + int(s.scale.has_value()) > 1)
    throw UsageError("tiling", "level, mpp and scale exclude each other", "give one of them");
  if (s.scale && !(*s.scale > 1e-4 && *s.scale <= 1)) throw UsageError("tiling.scale", "must be above 0.0001 and at most 1");
  if (s.mpp && !(*s.mpp > 0 && *s.mpp < 1000))
    throw UsageError("tiling.mpp", "must be above 0 and below 1000 micrometres per pixel");
  if (s.assume_mpp && !(*s.assume_mpp > 0 && *s.assume_mpp < 1000))
    throw UsageError("tiling.assume_mpp", "must be above 0 and below 1000 micrometres per pixel");
}

double working_scale(const Slide& slide, const TilingSettings& s) {
  if (s.level) {
    if (*s.level < 0 || *s.level >= static_cast<int>(slide.levels.size()))
      throw Error("level " + std::to_string(*s.level), "does not exist: the slide has " + std::to_string(slide.levels.size()),
                  "use 0 to " + std::to_string(slide.levels.size() - 1));
    return 1 / slide.levels[static_cast<size_t>(*s.level)].downsample;
  }
  if (s.mpp) {
    std::optional<double> own = slide.mpp_x ? slide.mpp_x : s.assume_mpp;
    if (!own)
      throw Error("", "does not say its micrometres per pixel (looked for " + mpp_properties_of(slide) + ")",
                  "give --assume-mpp");
    return *own / *s.mpp;
  }
  return s.scale.value_or(1.0);
}

std::vector<Tile> make_grid(const Slide& slide, const TilingSettings& s) {
  check(s);
  const double scale = working_scale(slide, s);
  const int level = coarsest_level(slide, 1 / scale);
  const LevelInfo& info = slide.levels[static_cast<size_t>(level)];
  const double ratio = 1 / (scale * info.downsample);  // level pixels per working pixel
  const int shrink = std::max(1, static_cast<int>(ratio + 1e-3));
  const int64_t side = std::max<int64_t>(1, std::llround(s.tile_px * ratio / shrink)) * shrink;
  const int64_t overlap =
      std::min<int64_t>(side / shrink - 1, static_cast<int64_t>(std::ceil(s.overlap_px * ratio / shrink - 1e-6))) * shrink;
  const int64_t step = side - overlap;
  if ((info.width / step + 1) * (info.height / step + 1) > kMaxTiles)
    throw Error("", "would be cut into more than " + std::to_string(kMaxTiles) + " tiles",
                "use a larger tile or a lower resolution");
  const double w = static_cast<double>(slide.width()), h = static_cast<double>(slide.height());
  std::vector<Tile> tiles;
  for (int64_t y : starts(info.height, side, overlap, shrink))
    for (int64_t x : starts(info.width, side, overlap, shrink)) {
      Tile t;
      t.index = static_cast<int>(tiles.size());
      t.side = static_cast<double>(side) * info.downsample;
      t.level = level;
      t.x = x;
      t.y = y;
      t.width = static_cast<int>(std::min(side, info.width - x));
      t.height = static_cast<int>(std::min(side, info.height - y));
      t.shrink = shrink;
      t.pixel = info.downsample * shrink;
      t.slide_left = x == 0;
      t.slide_top = y == 0;
      t.slide_right = x + t.width == info.width;
      t.slide_bottom = y + t.height == info.height;
      t.area = {static_cast<double>(x) * info.downsample, static_cast<double>(y) * info.downsample,
                t.slide_right ? w : std::min(w, static_cast<double>(x + t.width) * info.downsample),
                t.slide_bottom ? h : std::min(h, static_cast<double>(y + t.height) * info.downsample)};
      tiles.push_back(t);
    }
  return tiles;
}

Image read_tile(const Slide& slide, const Tile& t) {
  Image image((t.width + t.shrink - 1) / t.shrink, (t.height + t.shrink - 1) / t.shrink);
  slide.read_shrunk(t.level, t.x, t.y, t.width, t.height, t.shrink, image.rgb.data());
  return image;
}

}  // namespace cytodet
