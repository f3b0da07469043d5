#include "tiling/tiles/grid.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/settings.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::tiling {
namespace {

constexpr int kMaxTiles = 2'000'000;

// One direction of the grid, in level pixels: tiles of `side` from `first` to `end`, neighbours sharing `overlap`.
struct Axis {
  int64_t first = 0, end = 0, side = 0, overlap = 0;
  double step = 0;  // the last tile may be a multiple of it; 0: it is whole
  int64_t tiles() const { return (end - first) / (side - overlap) + 1; }
};

// tile_px: of a whole tile, in working pixels; ratio: level pixels per working pixel.
Axis axis_of(double tile_px, double step, double ratio, int factor, const TilingSettings& s) {
  Axis a;
  a.side = std::max<int64_t>(1, std::llround(tile_px * ratio / factor)) * factor;
  a.overlap =
      std::min<int64_t>(a.side / factor - 1, static_cast<int64_t>(std::ceil(s.overlap_px * ratio / factor - 1e-6))) * factor;
  if (s.fit_edges) a.step = step * static_cast<double>(a.side);
  return a;
}

// The level pixels of [from, to) of `length` level-0 pixels, from a multiple of `factor` on.
void set_range(Axis& a, int64_t from, int64_t to, int64_t length, int64_t level_length, double downsample, int factor) {
  const auto level_pixel = [&](int64_t v) { return static_cast<double>(v) / downsample; };
  a.first = static_cast<int64_t>(level_pixel(from)) / factor * factor;
  a.end = to == length ? level_length : std::min(level_length, static_cast<int64_t>(std::ceil(level_pixel(to) - 1e-6)));
  a.first = std::min(a.first, a.end - 1) / factor * factor;
}

struct Span {
  int64_t start, length;
};

// The tiles along an axis, the last two of which share at least the overlap; all starts are multiples of `factor`, as side and
// overlap are, so that a codec can factor.
std::vector<Span> spans(const Axis& a, int factor) {
  std::vector<Span> at;
  const int64_t length = a.end - a.first;
  int64_t x = 0;
  for (; x + a.side < length; x += a.side - a.overlap) at.push_back({a.first + x, a.side});
  int64_t last = a.side;
  if (a.step > 0)
    last = std::clamp(static_cast<int64_t>(std::ceil(static_cast<double>(length - x) / a.step - 1e-6) * a.step),
                      std::min(length - x, a.side), a.side);
  const int64_t start = a.first + (std::max<int64_t>(0, length - last) + factor - 1) / factor * factor;
  at.push_back({start, std::min(last, a.end - start)});
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
  f("set_mpp", s.set_mpp);
  f.unless(false, "fit_edges", s.fit_edges);
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
  if (s.set_mpp.size() > 2 || std::any_of(s.set_mpp.begin(), s.set_mpp.end(), [](double v) { return !(v > 0 && v < 1000); }))
    throw UsageError("tiling.set_mpp", "must be one number, or x and y, above 0 and below 1000 micrometres per pixel");
  if (!s.set_mpp.empty() && s.assume_mpp)
    throw UsageError("tiling", "set_mpp and assume_mpp exclude each other", "give set_mpp, which overrules what slides say");
}

WorkingScale working_scale(const Slide& slide, const TilingSettings& s) {
  if (s.level) {
    if (*s.level < 0 || *s.level >= static_cast<int>(slide.levels.size()))
      throw Error("level " + std::to_string(*s.level), "does not exist: the slide has " + std::to_string(slide.levels.size()),
                  "use 0 to " + std::to_string(slide.levels.size() - 1));
    const double scale = 1 / slide.levels[static_cast<size_t>(*s.level)].downsample;
    return {scale, scale};
  }
  if (s.mpp) {
    std::optional<double> x = slide.mpp_x ? slide.mpp_x : s.assume_mpp, y = slide.mpp_y ? slide.mpp_y : x;
    if (!s.set_mpp.empty()) x = s.set_mpp.front(), y = s.set_mpp.back();
    if (!x)
      throw Error("", "does not say its micrometres per pixel (looked for " + mpp_properties_of(slide) + ")",
                  "give --assume-mpp");
    return {*x / *s.mpp, (is_square(*x, *y) ? *x : *y) / *s.mpp};
  }
  const double scale = s.scale.value_or(1.0);
  return {scale, scale};
}

std::vector<Tile> make_grid(const Slide& slide, const TilingSettings& s, const TileShape& shape) {
  check(s);
  const double tile_height = s.tile_px * shape.height;
  if (s.overlap_px > tile_height * 0.75)
    throw UsageError("tiling.overlap_px", "must be at most three quarters of a tile's height, which is " +
                                              std::to_string(std::lround(tile_height)) + ", not " + std::to_string(s.overlap_px));
  const WorkingScale scale = working_scale(slide, s);
  const int level = coarsest_level(slide, 1 / std::max(scale.x, scale.y));
  const LevelInfo& info = slide.levels[static_cast<size_t>(level)];
  const double ratio_x = 1 / (scale.x * info.downsample), ratio_y = 1 / (scale.y * info.downsample);
  const int factor = std::max(1, static_cast<int>(std::min(ratio_x, ratio_y) + 1e-3));
  Axis across = axis_of(s.tile_px, shape.step_x, ratio_x, factor, s),
       down = axis_of(tile_height, shape.step_y, ratio_y, factor, s);
  const PixelArea scanned = scanned_area(slide);
  const Box all = box_of(scanned);
  set_range(across, scanned.x, scanned.x + scanned.width, slide.width(), info.width, info.downsample, factor);
  set_range(down, scanned.y, scanned.y + scanned.height, slide.height(), info.height, info.downsample, factor);
  if (across.tiles() * down.tiles() > kMaxTiles)
    throw Error("", "would be cut into more than " + std::to_string(kMaxTiles) + " tiles",
                "use a larger tile or a lower resolution");
  const std::vector<Box> parts = scanned_parts(slide);
  std::vector<Tile> tiles;
  const std::vector<Span> columns = spans(across, factor);
  for (const auto& [y, height] : spans(down, factor))
    for (const auto& [x, width] : columns) {
      Tile t;
      t.index = static_cast<int>(tiles.size());
      t.side = static_cast<double>(across.side) * info.downsample;
      t.side_y = static_cast<double>(down.side) * info.downsample;
      t.level = level;
      t.x = x;
      t.y = y;
      t.width = static_cast<int>(width);
      t.height = static_cast<int>(height);
      t.downsample_factor = factor;
      t.pixel = info.downsample * factor;
      t.slide_left = x == across.first;
      t.slide_top = y == down.first;
      t.slide_right = x + t.width == across.end;
      t.slide_bottom = y + t.height == down.end;
      t.area = {static_cast<double>(x) * info.downsample, static_cast<double>(y) * info.downsample,
                t.slide_right ? all.x1 : std::min(all.x1, static_cast<double>(x + t.width) * info.downsample),
                t.slide_bottom ? all.y1 : std::min(all.y1, static_cast<double>(y + t.height) * info.downsample)};
      const auto holds_some = [&](const Box& part) { return intersection(part, t.area) > 0; };
      if (std::any_of(parts.begin(), parts.end(), holds_some)) tiles.push_back(t);
    }
  return tiles;
}

Image read_tile(const Slide& slide, const Tile& t) {
  Image image((t.width + t.downsample_factor - 1) / t.downsample_factor,
              (t.height + t.downsample_factor - 1) / t.downsample_factor);
  slide.read_downsampled(t.level, t.x, t.y, t.width, t.height, t.downsample_factor, image.rgb.data());
  return image;
}

}  // namespace cytodet::tiling
