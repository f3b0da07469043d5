#include "tiling/background.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/names.h"
#include "tiling/background/rows.h"
#include "tiling/grid.h"

namespace cytodet {
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
  const int x0 = place(a.x0 - mx, pixel_x, picture.width), x1 = place(a.x1 + mx, pixel_x, picture.width),
            y0 = place(a.y0 - my, pixel_y, picture.height), y1 = place(a.y1 + my, pixel_y, picture.height);
  for (int y = y0; y <= y1; ++y) {
    const auto row = cells.begin() + static_cast<std::ptrdiff_t>(y) * picture.width;
    if (std::find(row + x0, row + x1 + 1, uint8_t{1}) != row + x1 + 1) return true;
  }
  return false;
}

CellMask cell_mask(const Slide& slide, const BackgroundMethod& method) {
  size_t level = 0;
  for (size_t i = 1; i < slide.levels.size(); ++i)
    if (std::max(slide.levels[i].width, slide.levels[i].height) >= kLeastSide &&
        slide.levels[i].downsample > slide.levels[level].downsample)
      level = i;
  const LevelInfo& info = slide.levels[level];
  const int64_t side = std::max(info.width, info.height), shrink = (side + kMostSide - 1) / kMostSide;
  CellMask mask;
  mask.picture =
      Image(static_cast<int>((info.width + shrink - 1) / shrink), static_cast<int>((info.height + shrink - 1) / shrink));
  mask.pixel_x = static_cast<double>(slide.width()) / static_cast<double>(info.width) * static_cast<double>(shrink);
  mask.pixel_y = static_cast<double>(slide.height()) / static_cast<double>(info.height) * static_cast<double>(shrink);
  std::vector<Box> unread;  // pixels of the picture
  // Pieces of a bounded number of level pixels, wide ones first, since strips are as wide as the slide.
  const int columns = static_cast<int>(std::clamp<int64_t>((int64_t{4} << 20) / (256 * shrink), 1, mask.picture.width));
  const int rows = static_cast<int>(std::clamp<int64_t>(256 / shrink, 1, mask.picture.height));
  for (int y = 0; y < mask.picture.height; y += rows)
    for (int x = 0; x < mask.picture.width; x += columns) {
      Tile t;
      t.level = static_cast<int>(level);
      t.shrink = static_cast<int>(shrink);
      t.x = x * shrink;
      t.y = y * shrink;
      t.width = static_cast<int>(std::min<int64_t>(columns * shrink, info.width - t.x));
      t.height = static_cast<int>(std::min<int64_t>(rows * shrink, info.height - t.y));
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

}  // namespace cytodet
