#include "tiling/background/background.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/suggest.h"
#include "tiling/background/background_entries.h"
#include "tiling/tiles/grid.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::tiling {
namespace {

constexpr int kMargin = 8;
constexpr int64_t kMinSide = 2048, kMaxSide = 4096;

const BackgroundMethodEntry kBackgroundMethods[] = {
    {BackgroundMethod::none, "none", "all tiles are run", nullptr}, kOtsu, kVariance};

const BackgroundMethodEntry& entry_of(BackgroundMethod method) {
  for (const BackgroundMethodEntry& entry : kBackgroundMethods)
    if (entry.method == method) return entry;
  throw Error("background", "a method has no entry in kBackgroundMethods");
}

}  // namespace

std::span<const BackgroundMethodEntry> background_methods() { return kBackgroundMethods; }

const char* name_of(BackgroundMethod method) { return entry_of(method).name; }

BackgroundMethod background_method_named(const std::string& name) {
  if (const BackgroundMethodEntry* entry = entry_named(kBackgroundMethods, name)) return entry->method;
  throw UsageError("background", "\"" + name + "\" is no background method", suggest(name, names_of(kBackgroundMethods)));
}

bool CellMask::touches(const Box& a) const {
  auto place = [](double v, double pixel, int max) { return std::clamp(static_cast<int>(std::floor(v / pixel)), 0, max - 1); };
  const double mx = kMargin * pixel_x, my = kMargin * pixel_y;
  const int x0 = place(a.x0 - left - mx, pixel_x, image.width), x1 = place(a.x1 - left + mx, pixel_x, image.width),
            y0 = place(a.y0 - top - my, pixel_y, image.height), y1 = place(a.y1 - top + my, pixel_y, image.height);
  for (int y = y0; y <= y1; ++y) {
    const auto row = cells.begin() + static_cast<std::ptrdiff_t>(y) * image.width;
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

CellMask cell_mask(const Slide& slide, BackgroundMethod method) {
  const PixelArea scanned = scanned_area(slide);
  const auto columns_of = [&](const LevelInfo& l) { return level_range(scanned.x, scanned.width, slide.width(), l.width); };
  const auto rows_of = [&](const LevelInfo& l) { return level_range(scanned.y, scanned.height, slide.height(), l.height); };
  size_t level = 0;
  for (size_t i = 1; i < slide.levels.size(); ++i)
    if (std::max(columns_of(slide.levels[i]).size, rows_of(slide.levels[i]).size) >= kMinSide &&
        slide.levels[i].downsample > slide.levels[level].downsample)
      level = i;
  const LevelInfo& info = slide.levels[level];
  const LevelRange across = columns_of(info), down = rows_of(info);
  const int64_t side = std::max(across.size, down.size), factor = (side + kMaxSide - 1) / kMaxSide;
  CellMask mask;
  mask.image = Image(static_cast<int>((across.size + factor - 1) / factor), static_cast<int>((down.size + factor - 1) / factor));
  const double level_x = static_cast<double>(slide.width()) / static_cast<double>(info.width),
               level_y = static_cast<double>(slide.height()) / static_cast<double>(info.height);
  mask.pixel_x = level_x * static_cast<double>(factor);
  mask.pixel_y = level_y * static_cast<double>(factor);
  mask.left = static_cast<double>(across.first) * level_x;
  mask.top = static_cast<double>(down.first) * level_y;
  std::vector<Box> unread;  // pixels of the image
  // Pieces of a bounded number of level pixels, wide ones first, since strips are as wide as the slide.
  const int columns = static_cast<int>(std::clamp<int64_t>((int64_t{4} << 20) / (256 * factor), 1, mask.image.width));
  const int rows = static_cast<int>(std::clamp<int64_t>(256 / factor, 1, mask.image.height));
  for (int y = 0; y < mask.image.height; y += rows)
    for (int x = 0; x < mask.image.width; x += columns) {
      Tile t;
      t.level = static_cast<int>(level);
      t.downsample_factor = static_cast<int>(factor);
      t.x = across.first + x * factor;
      t.y = down.first + y * factor;
      t.width = static_cast<int>(std::min<int64_t>(columns * factor, across.size - x * factor));
      t.height = static_cast<int>(std::min<int64_t>(rows * factor, down.size - y * factor));
      try {
        const Image part = read_tile(slide, t);
        for (int r = 0; r < part.height; ++r)
          std::memcpy(mask.image.row(y + r) + x * 3, part.row(r), static_cast<size_t>(part.width) * 3);
      } catch (const Error&) {
        unread.push_back({double(x), double(y), double(std::min(x + columns, mask.image.width)),
                          double(std::min(y + rows, mask.image.height))});
      }
    }
  if (const auto cells = entry_of(method).cells)
    mask.cells = cells(mask.image);
  else
    mask.cells.assign(static_cast<size_t>(mask.image.width) * static_cast<size_t>(mask.image.height), 1);
  for (const Box& b : unread)
    for (int y = static_cast<int>(b.y0); y < static_cast<int>(b.y1); ++y)
      std::fill_n(mask.cells.begin() + static_cast<std::ptrdiff_t>(y) * mask.image.width + static_cast<int>(b.x0),
                  static_cast<int>(b.width()), uint8_t{1});
  return mask;
}

Image mask_image(const CellMask& mask) {
  Image image = mask.image;
  for (size_t i = 0; i < mask.cells.size(); ++i)
    if (!mask.cells[i])
      for (size_t c = 0; c < 3; ++c) image.rgb[3 * i + c] /= 3;
  return image;
}

}  // namespace cytodet::tiling
