#include "tiling/slides/formats/block_slide.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/timing.h"

namespace cytodet::tiling {
namespace {

constexpr size_t kMaxRemembered = 1 << 16;

constexpr int kMaxPanels = 1024;
constexpr int64_t kMinBytes = int64_t{64} << 20;
constexpr int64_t kTileRows = 640;  // of tiles at the default settings

// Panels of one strip are keys of their own, so that strips of all panels can be distinguished.
BlockCache::Key key_of(int level, int reduce, int panels, int64_t column, int64_t row) {
  return {(panels * 1024 + level) * 16 + reduce, row, column};
}

}  // namespace

// Rows of tiles share the blocks between them as long as a band of the slide's width is held.
void BlockSlide::start_cache() {
  const int64_t tiles = std::clamp(width() * 3 * 768, kMinBytes, kMaxTileBytes);
  kept_bytes = striped(0) ? plan_reads(0, kTileRows, 1).kept_bytes : tiles;
  cache_ = std::make_unique<BlockCache>(kept_bytes, striped(0) ? BlockCache::Drop::oldest : BlockCache::Drop::topmost);
}

int64_t BlockSlide::panel_width(const Resolution& r) const {
  const LevelInfo& d = levels[static_cast<size_t>(r.level)];
  return r.panels == 1 ? d.tile_width : ((d.tile_width + r.panels - 1) / r.panels + 63) / 64 * 64;
}

// A row of tiles, and what threads behind it and ahead of it want.
int64_t BlockSlide::wanted_bytes(int level, int reduce, int64_t height) const {
  if (!striped(level)) return 0;
  const LevelInfo& d = levels[static_cast<size_t>(level)];
  const int64_t rows = std::min(d.height, height + std::max<int64_t>(128, 2 * d.tile_height));
  return (d.tile_width / reduce + 1) * (rows / reduce + 1) * 3;
}

// A tile that lies over the border of two panels wants both, hence half of the cache for each.
int BlockSlide::panels_of(int level, int64_t wanted) const {
  if (wanted <= strip_limit_) return 1;
  const int64_t half = strip_limit_ / 2, max = std::max<int64_t>(1, levels[static_cast<size_t>(level)].tile_width / 64);
  return static_cast<int>(std::min({(wanted + half - 1) / half, max, int64_t{kMaxPanels}}));
}

BlockSlide::Resolution BlockSlide::resolution(int level, int reduce, int64_t height) const {
  const int64_t wanted = wanted_bytes(level, reduce, height);
  if (wanted > 0) cache_->raise_limit(std::min(wanted, strip_limit_));
  return {level, reduce, panels_of(level, wanted)};
}

ReadPlan BlockSlide::plan_reads(int level, int64_t height, int factor) const {
  const LevelInfo& d = levels[static_cast<size_t>(level)];
  const int reduce = reduction(level, 0, 0, factor);
  const int64_t rows = (d.height + d.tile_height - 1) / d.tile_height, wanted = wanted_bytes(level, reduce, height);
  if (wanted == 0) return {rows * ((d.width + d.tile_width - 1) / d.tile_width), kept_bytes, false};
  // Panels are gone through for each row of tiles: rows that two of these share, by default a quarter, are decoded for both.
  const int panels = panels_of(level, wanted);
  return {panels == 1 ? rows : rows * panels * 4 / 3, std::min(std::max(wanted, kMinBytes), strip_limit_), in_order(level)};
}

DecodeWork BlockSlide::decoded() const {
  return {decoded_blocks_.load(), static_cast<double>(decode_nanoseconds_.load()) * 1e-9};
}

Block BlockSlide::decode_once(Resolution r, int64_t column, int64_t row) const {
  const BlockCache::Key key = key_of(r.level, 1, r.panels, column, row);  // damage spoils all reductions
  {
    std::lock_guard lock(damage_mutex_);
    if (auto known = damage_.find(key); known != damage_.end()) throw Error(known->second);
  }
  try {
    const Stopwatch watch;
    Block block = decode(r, column, row);
    ++decoded_blocks_;
    decode_nanoseconds_ += static_cast<int64_t>(watch.ms() * 1e6);
    return block;
  } catch (const Error& e) {
    const LevelInfo& d = levels[static_cast<size_t>(r.level)];
    const Error placed = e.within("level " + std::to_string(r.level) + ", stored tile at " +
                                  std::to_string(column * panel_width(r)) + "," + std::to_string(row * d.tile_height));
    std::lock_guard lock(damage_mutex_);
    if (damage_.size() < kMaxRemembered) damage_.emplace(key, placed);
    throw placed;
  }
}

void BlockSlide::region(Resolution r, Rect want, uint8_t* rgb) const {
  const LevelInfo& d = levels[static_cast<size_t>(r.level)];
  const int64_t width = (d.width + r.reduce - 1) / r.reduce, height = (d.height + r.reduce - 1) / r.reduce;
  const int64_t bw = panel_width(r) / r.reduce, bh = d.tile_height / r.reduce;
  const int64_t x0 = std::max<int64_t>(0, want.x), y0 = std::max<int64_t>(0, want.y), x1 = std::min(width, want.x + want.w),
                y1 = std::min(height, want.y + want.h);
  if (x0 != want.x || y0 != want.y || x1 - x0 != want.w || y1 - y0 != want.h)
    std::memset(rgb, 255, static_cast<size_t>(want.w) * static_cast<size_t>(want.h) * 3);
  if (x0 >= x1 || y0 >= y1) return;
  const int64_t columns = (x1 - 1) / bw + 1 - x0 / bw, rows = (y1 - 1) / bh + 1 - y0 / bh;
  // Blocks that another thread is decoding are left for the end, so that threads decode different ones meanwhile.
  std::vector<std::pair<int64_t, int64_t>> busy;
  const bool ordered = in_order(r.level);
  const auto copy = [&](int64_t column, int64_t row, bool wait) {
    const auto decoder = [&] { return decode_once(r, column, row); };
    const BlockCache::Key key = key_of(r.level, r.reduce, r.panels, column, row);
    const Block block = wait ? cache_->get(key, decoder) : cache_->get_unless_busy(key, decoder);
    if (!block) return busy.emplace_back(column, row), void();
    const int64_t left = column * bw, top = row * bh;
    const int64_t cx0 = std::max(x0, left), cx1 = std::min(x1, left + bw), cy1 = std::min(y1, top + bh);
    for (int64_t yy = std::max(y0, top); yy < cy1; ++yy)
      std::memcpy(rgb + ((yy - want.y) * want.w + (cx0 - want.x)) * 3, block->data() + ((yy - top) * bw + (cx0 - left)) * 3,
                  static_cast<size_t>(cx1 - cx0) * 3);
  };
  // Tiles in rows; panels one after the other, since what two of them want may be all that is kept.
  for (int64_t i = 0; i < columns * rows; ++i)
    if (r.panels == 1)
      copy(x0 / bw + i % columns, y0 / bh + i / columns, ordered);
    else
      copy(x0 / bw + i / rows, y0 / bh + i % rows, ordered);
  for (size_t i = 0; i < busy.size(); ++i) copy(busy[i].first, busy[i].second, true);
}

void BlockSlide::read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const {
  region(resolution(level, 1, h), {x, y, w, h}, rgb);
}

int BlockSlide::reduction(int level, int64_t x, int64_t y, int factor) const {
  const LevelInfo& d = levels[static_cast<size_t>(level)];
  int reduce = reduces(level) ? 8 : 1;
  while (reduce > 1 && (x | y | factor | d.tile_width | d.tile_height) % reduce != 0) reduce /= 2;
  return reduce;
}

void BlockSlide::read_downsampled(int level, int64_t x, int64_t y, int w, int h, int factor, uint8_t* rgb) const {
  const int reduce = reduction(level, x, y, factor);
  const Resolution r = resolution(level, reduce, h);
  const Rect all{x / reduce, y / reduce, (w + reduce - 1) / reduce, (h + reduce - 1) / reduce};
  if (factor == reduce) return region(r, all, rgb);
  downsample_region(r, all, factor / reduce, rgb);
}

// In bands, so that memory follows the region wanted and not the level.
void BlockSlide::downsample_region(Resolution r, Rect all, int rest, uint8_t* rgb) const {
  const int width = (all.w + rest - 1) / rest, band = std::max(1, (4 << 20) / (all.w * rest)) * rest;
  for (int top = 0; top < all.h; top += band) {
    Image part(all.w, std::min(band, all.h - top));
    region(r, {all.x, all.y + top, part.width, part.height}, part.rgb.data());
    downsample_by_mean(part, rest, rgb + static_cast<int64_t>(top / rest) * width * 3);
  }
}

}  // namespace cytodet::tiling
