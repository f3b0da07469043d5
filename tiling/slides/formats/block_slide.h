// A slide stored in blocks (tiles, strips) of one size per level. Blocks are decoded when they are needed, so memory does not
// grow with the file; each is decoded once though regions overlap, as long as it stays in the cache.
//
// A strip is as wide as the level, so a row of tiles wants all strips that it touches once per tile: they are kept for the whole
// row. If that takes more than kMaxStripBytes, the level is cut into panels, upright ones side by side, and only a panel of a
// strip is kept; each strip is then decoded once per panel.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "core/error.h"
#include "tiling/slides/formats/block_cache.h"
#include "tiling/slides/slide.h"
#include "tiling/slides/stored_blocks.h"

namespace cytodet::tiling {

constexpr int64_t kMaxTileBytes = int64_t{192} << 20;   // most that is kept of a slide stored in tiles,
constexpr int64_t kMaxStripBytes = int64_t{768} << 20;  // and in strips

class BlockSlide : public Slide, public StoredBlocks {
 public:
  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override;
  // Inside the codec where it can.
  void read_downsampled(int level, int64_t x, int64_t y, int w, int h, int factor, uint8_t* rgb) const override;
  ReadPlan plan_reads(int level, int64_t height, int factor) const override;
  DecodeWork decoded() const override;

 protected:
  // reduce: 1, 2, 4 or 8; blocks hold 1 / reduce of the pixels each way. panels: a strip's blocks are that many, of panel_width
  // each; 1 for tiles.
  struct Resolution {
    int level, reduce;
    int panels = 1;
  };
  // Level pixels; a multiple of 64 where there are several.
  int64_t panel_width(const Resolution& r) const;
  // Once levels, with the sizes of their tiles, are known.
  void start_cache();
  int64_t strip_limit_ = kMaxStripBytes;

 private:
  struct Rect {
    int64_t x, y;
    int w, h;
  };
  // RGB, rows of tile_width / reduce pixels (of a panel: panel_width / reduce), tile_height / reduce of them; white where there
  // is nothing. Throws Error on damage.
  virtual Block decode(Resolution r, int64_t column, int64_t row) const = 0;
  // Whether the codec can reduce this level's blocks.
  virtual bool reduces(int level) const = 0;
  // Whether the level is stored in strips; whether their rows can be decoded only one after the other (in_order of ReadPlan).
  virtual bool striped(int) const { return false; }
  virtual bool in_order(int) const { return false; }

  int reduction(int level, int64_t x, int64_t y, int factor) const;
  // Bytes that reads of `height` rows want kept, all panels together; 0: of a level in tiles.
  int64_t wanted_bytes(int level, int reduce, int64_t height) const;
  int panels_of(int level, int64_t wanted) const;
  Resolution resolution(int level, int reduce, int64_t height) const;
  void region(Resolution r, Rect rect, uint8_t* rgb) const;
  void downsample_region(Resolution r, Rect rect, int factor, uint8_t* rgb) const;

  Block decode_once(Resolution r, int64_t column, int64_t row) const;

  std::unique_ptr<BlockCache> cache_;
  mutable std::atomic<int64_t> decoded_blocks_{0}, decode_nanoseconds_{0};
  mutable std::mutex damage_mutex_;
  mutable std::map<BlockCache::Key, Error> damage_;  // of blocks that failed: they are not tried again
};

}  // namespace cytodet::tiling
