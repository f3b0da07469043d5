// What slides that know the blocks (tiles, strips) they are stored in report about reading them.
#pragma once

#include "tiling/slides/slide.h"

namespace cytodet::tiling {

// What reading a level in rows of tiles, left to right and top to bottom, takes.
struct ReadPlan {
  int64_t blocks = 0;      // stored blocks to decode, each counted as often as it must be; 0: not known
  int64_t kept_bytes = 0;  // most that is kept of decoded pixels
  bool in_order = false;   // pixels can be had only one after the other from the level's start, or from that of a large strip
};

// Blocks decoded so far, and the time that took over all threads.
struct DecodeWork {
  int64_t blocks = 0;
  double seconds = 0;
};

// A Slide that is one of these too can report; others cannot.
class StoredBlocks {
 public:
  virtual ~StoredBlocks() = default;
  // Tiles of `height` rows of the level, reduced by `factor`.
  virtual ReadPlan plan_reads(int level, int64_t height, int factor) const = 0;
  virtual DecodeWork decoded() const = 0;
};

inline ReadPlan plan_reads(const Slide& slide, int level, int64_t height, int factor) {
  const auto* blocks = dynamic_cast<const StoredBlocks*>(&slide);
  return blocks ? blocks->plan_reads(level, height, factor) : ReadPlan{0, slide.kept_bytes, false};
}

inline DecodeWork decoded(const Slide& slide) {
  const auto* blocks = dynamic_cast<const StoredBlocks*>(&slide);
  return blocks ? blocks->decoded() : DecodeWork{};
}

}  // namespace cytodet::tiling
