#include "tiling/background/background.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/names.h"
#include "tiling/background/background_rows.h"
#include "tiling/tiles/grid.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::tiling {
namespace {

constexpr int kMargin = 8;
constexpr int64_t kLeastSide = 2048, kMostSide = 4096;

const BackgroundMethod kRows[] = {{"none", "all tiles are run", nullptr}, kOtsu, kVariance};

}  // namespace

std::span<const BackgroundMethod> background_methods() { return kRows; }

const BackgroundMethod& background_method(const std::string& name) {
  if (const BackgroundMethod* row = row_named(kRows, name)) return *row;
  throw UsageError("background", "\"" + name + "\" is no background method", suggest(name, names_of(kRows)));
}

bool CellMask::touches(const Box& a) const {
  auto place = [](double v, double pixel, int most) { return std::clamp(static_cast<int>(std::floor(v / pixel)), 0, most - 1); };
  const double mx = kMargin * pixel_x, my = kMargin * pixel_y;
  const int x0 = place(a.x0 - left - mx, pixel_x, picture.width), x1 = place(a.x1 - left + mx, pixel_x, picture.width),
            y0 = place(a.y0 - top - my, pixel_y, picture.height), y1 = place(a.y1 - top + my, pixel_y, picture.height);
  for (int y = y0; y <= y1; ++y) {
    const auto row = cells.begin() + static_cast<std::ptrdiff_t>(y) * picture.width;
    if (std::find(row + x0, row + x1 + 1, uint8_t{1}) != row + x1 + 1) return true;
  }
  return false;
}

namespace {

// The level pixels that hold [from, from + size) of `length` level-0 pixels.
struct LevelRange {
  int64_t first, size;
};
LevelRange level_range(int64_t from, int64_t size, int64_t length, int64_t level_length) {
  if (size == length) return {0, level_length};
  const double k = static_cast<double>(level_length) / static_cast<double>(length);
  const auto first = static_cast<int64_t>(static_cast<double>(from) * k);
  const auto end = static_cast<int64_t>(std::ceil(static_cast<double>(from + size) * k));
  return {first, std::clamp<int64_t>(end, first + 1, level_length) - first};
}

}  // namespace

CellMask cell_mask(const Slide& slide, const BackgroundMethod& method) {
  const PixelArea scanned = scanned_area(slide);
  const auto columns_of = [&](const LevelInfo& l) { return level_range(scanned.x, scanned.width, slide.width(), l.width); };
  const auto rows_of = [&](const LevelInfo& l) { return level_range(scanned.y, scanned.height, slide.height(), l.height); };
  size_t level = 0;
  for (size_t i = 1; i < slide.levels.size(); ++i)
    if (std::max(columns_of(slide.levels[i]).size, rows_of(slide.levels[i]).size) >= kLeastSide &&
        slide.levels[i].downsample > slide.levels[level].downsample)
      level = i;
  const LevelInfo& info = slide.levels[level];
  const LevelRange across = columns_of(info), down = rows_of(info);
  const int64_t side = std::max(across.size, down.size), shrink = (side + kMostSide - 1) / kMostSide;
  CellMask mask;
  mask.picture =
      Image(static_cast<int>((across.size + shrink - 1) / shrink), static_cast<int>((down.size + shrink - 1) / shrink));
  const double level_x = static_cast<double>(slide.width()) / static_cast<double>(info.width),
               level_y = static_cast<double>(slide.height()) / static_cast<double>(info.height);
  mask.pixel_x = level_x * static_cast<double>(shrink);
  mask.pixel_y = level_y * static_cast<double>(shrink);
  mask.left = static_cast<double>(across.first) * level_x;
  mask.top = static_cast<double>(down.first) * level_y;
  std::vector<Box> unread;  // pixels of the picture
  // Pieces of a bounded number of level pixels, wide ones first, since strips are as wide as the slide.
  const int columns = static_cast<int>(std::clamp<int64_t>((int64_t{4} << 20) / (256 * shrink), 1, mask.picture.width));
  const int rows = static_cast<int>(std::clamp<int64_t>(256 / shrink, 1, mask.picture.height));
  for (int y = 0; y < mask.picture.height; y += rows)
    for (int x = 0; x < mask.picture.width; x += columns) {
      Tile t;
      t.level = static_cast<int>(level);
      t.shrink = static_cast<int>(shrink);
      t.x = across.first + x * shrink;
      t.y = down.first + y * shrink;
      t.width = static_cast<int>(std::min<int64_t>(columns * shrink, across.size - x * shrink));
      t.height = static_cast<int>(std::min<int64_t>(rows * shrink, down.size - y * shrink));
      try {
        const Image part = read_tile(slide, t);
        for (int r = 0; r < part.height; ++r)
          std::memcpy(mask.picture.row(y + r) + x * 3, part.row(r), static_cast<size_t>(part.width) * 3);
      } catch (const Error&) {
        unread.push_back({double(x), double(y), double(std::min(x + columns, mask.picture.width)),
                          double(std::min(y + rows, mask.picture.height))});
      }
    }
  if (!method.cells)
    mask.cells.assign(static_cast<size_t>(mask.picture.width) * static_cast<size_t>(mask.picture.height), 1);
  else
    mask.cells = method.cells(mask.picture);
  for (const Box& b : unread)
    for (int y = static_cast<int>(b.y0); y < static_cast<int>(b.y1); ++y)
      std::fill_n(mask.cells.begin() + static_cast<std::ptrdiff_t>(y) * mask.picture.width + static_cast<int>(b.x0),
                  static_cast<int>(b.width()), uint8_t{1});
  return mask;
}

Image mask_picture(const CellMask& mask) {
  Image picture = mask.picture;
  for (size_t i = 0; i < mask.cells.size(); ++i)
    if (!mask.cells[i])
      for (size_t c = 0; c < 3; ++c) picture.rgb[3 * i + c] /= 3;
  return picture;
}

}  // namespace cytodet::tiling
