#include "tiling/formats/block_slide.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace cytodet {
namespace {

constexpr size_t kMostRemembered = 1 << 16;

BlockCache::Key key_of(int level, int reduce, int64_t column, int64_t row) { return {level * 16 + reduce, row, column}; }

}  // namespace

// Rows of tiles share the blocks between them as long as a band of the slide's width is held.
void BlockSlide::start_cache() {
  kept_bytes = std::clamp(width() * 3 * 768, int64_t{64} << 20, int64_t{192} << 20);
  cache_ = std::make_unique<BlockCache>(kept_bytes);
}

Block BlockSlide::decode_once(Resolution r, int64_t column, int64_t row) const {
  const BlockCache::Key key = key_of(r.level, 1, column, row);  // damage spoils all reductions
  {
    std::lock_guard lock(damage_mutex_);
    if (auto known = damage_.find(key); known != damage_.end()) throw Error(known->second);
  }
  try {
    return decode(r, column, row);
  } catch (const Error& e) {
    const LevelInfo& d = levels[static_cast<size_t>(r.level)];
    const Error placed = e.within("level " + std::to_string(r.level) + ", stored tile at " +
                                  std::to_string(column * d.tile_width) + "," + std::to_string(row * d.tile_height));
    std::lock_guard lock(damage_mutex_);
    if (damage_.size() < kMostRemembered) damage_.emplace(key, placed);
    throw placed;
  }
}

void BlockSlide::region(Resolution r, Rect want, uint8_t* rgb) const {
  const LevelInfo& d = levels[static_cast<size_t>(r.level)];
  const int64_t width = (d.width + r.reduce - 1) / r.reduce, height = (d.height + r.reduce - 1) / r.reduce;
  const int64_t bw = d.tile_width / r.reduce, bh = d.tile_height / r.reduce;
  const int64_t x0 = std::max<int64_t>(0, want.x), y0 = std::max<int64_t>(0, want.y), x1 = std::min(width, want.x + want.w),
                y1 = std::min(height, want.y + want.h);
  if (x0 != want.x || y0 != want.y || x1 - x0 != want.w || y1 - y0 != want.h)
    std::memset(rgb, 255, static_cast<size_t>(want.w) * static_cast<size_t>(want.h) * 3);
  if (x0 >= x1 || y0 >= y1) return;
  for (int64_t row = y0 / bh; row * bh < y1; ++row)
    for (int64_t column = x0 / bw; column * bw < x1; ++column) {
      const Block block = cache_->get(key_of(r.level, r.reduce, column, row), [&] { return decode_once(r, column, row); });
      const int64_t left = column * bw, top = row * bh;
      const int64_t cx0 = std::max(x0, left), cx1 = std::min(x1, left + bw), cy1 = std::min(y1, top + bh);
      for (int64_t yy = std::max(y0, top); yy < cy1; ++yy)
        std::memcpy(rgb + ((yy - want.y) * want.w + (cx0 - want.x)) * 3, block->data() + ((yy - top) * bw + (cx0 - left)) * 3,
                    static_cast<size_t>(cx1 - cx0) * 3);
    }
}

void BlockSlide::read_shrunk(int level, int64_t x, int64_t y, int w, int h, int shrink, uint8_t* rgb) const {
  const LevelInfo& d = levels[static_cast<size_t>(level)];
  int reduce = reduces(level) ? 8 : 1;
  for (; reduce > 1; reduce /= 2)
    if ((x | y | shrink | d.tile_width | d.tile_height) % reduce == 0) break;
  if (reduce == 1) return Slide::read_shrunk(level, x, y, w, h, shrink, rgb);
  const int rest = shrink / reduce;
  const Rect all{x / reduce, y / reduce, (w + reduce - 1) / reduce, (h + reduce - 1) / reduce};
  if (rest == 1) return region({level, reduce}, all, rgb);
  const int width = (all.w + rest - 1) / rest, band = std::max(1, (4 << 20) / (all.w * rest)) * rest;
  for (int top = 0; top < all.h; top += band) {
    Image part(all.w, std::min(band, all.h - top));
    region({level, reduce}, {all.x, all.y + top, part.width, part.height}, part.rgb.data());
    shrink_by_mean(part, rest, rgb + static_cast<int64_t>(top / rest) * width * 3);
  }
}

}  // namespace cytodet
