// A pyramid of tiled or striped images in one TIFF. Blocks are decoded when they are needed, so memory does not grow with the
// file; each is decoded once though regions overlap, as long as it stays in the cache.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tiling/formats/block_cache.h"
#include "tiling/formats/tiff_file.h"
#include "tiling/slide.h"

namespace cytodet {

class TiffSlide : public Slide {
 public:
  explicit TiffSlide(const std::string& file);

  int orientation() const { return directories_[0].orientation; }

  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override { region({level, 1}, {x, y, w, h}, rgb); }
  // By the JPEG's inverse transform where blocks are plain JPEG.
  void read_shrunk(int level, int64_t x, int64_t y, int w, int h, int shrink, uint8_t* rgb) const override;

 private:
  struct Resolution {
    int level, reduce;
  };
  struct Rect {
    int64_t x, y;
    int w, h;
  };
  void consider(TiffFile& f, bool sub, uint64_t where);
  void region(Resolution r, Rect rect, uint8_t* rgb) const;
  Block decode(Resolution r, int64_t column, int64_t row) const;

  std::vector<TiffDirectory> directories_;  // of the levels
  std::unique_ptr<BlockCache> cache_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<TiffFile>> idle_;
};

}  // namespace cytodet
