// A slide stored in blocks (tiles, strips) of one size per level. Blocks are decoded when they are needed, so memory does not
// grow with the file; each is decoded once though regions overlap, as long as it stays in the cache.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "core/error.h"
#include "tiling/formats/block_cache.h"
#include "tiling/slide.h"

namespace cytodet {

class BlockSlide : public Slide {
 public:
  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override { region({level, 1}, {x, y, w, h}, rgb); }
  // Inside the codec where it can.
  void read_shrunk(int level, int64_t x, int64_t y, int w, int h, int shrink, uint8_t* rgb) const override;

 protected:
  // reduce: 1, 2, 4 or 8; blocks hold 1 / reduce of the pixels each way.
  struct Resolution {
    int level, reduce;
  };
  // Once levels, with the sizes of their tiles, are known.
  void start_cache();

 private:
  struct Rect {
    int64_t x, y;
    int w, h;
  };
  // RGB, rows of tile_width / reduce pixels, tile_height / reduce of them; white where there is nothing. Throws Error on damage.
  virtual Block decode(Resolution r, int64_t column, int64_t row) const = 0;
  // Whether the codec can reduce this level's blocks.
  virtual bool reduces(int level) const = 0;
  void region(Resolution r, Rect rect, uint8_t* rgb) const;

  Block decode_once(Resolution r, int64_t column, int64_t row) const;

  std::unique_ptr<BlockCache> cache_;
  mutable std::mutex damage_mutex_;
  mutable std::map<BlockCache::Key, Error> damage_;  // of blocks that failed: they are not tried again
};

}  // namespace cytodet
