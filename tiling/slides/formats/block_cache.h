// Decoded stored tiles of one slide. Threads that ask for the same block at once decode it once. Slides are read in rows of
// tiles, top to bottom, so the upmost block is dropped first; blocks long unused before all others. Strips, which every tile of a
// row wants, are dropped in the order of their last use. Not an LruCache (core/lru_cache.h): blocks that are being decoded stay
// whatever they are, and what is dropped first depends on the place in the slide.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

namespace cytodet::tiling {

using Block = std::shared_ptr<const std::vector<uint8_t>>;  // RGB, rows of the block's width

class BlockCache {
 public:
  using Key = std::tuple<int, int64_t, int64_t>;  // level (and reduction), row, column of the block

  enum class Drop { topmost, oldest };
  explicit BlockCache(int64_t max_bytes, Drop drop = Drop::topmost) : drop_(drop), max_bytes_(max_bytes) {}

  // The block, from `decode` where it is not held. What decode throws is thrown here, to all that wait, and nothing is kept.
  Block get(const Key& key, const std::function<Block()>& decode);

  // The same, but null where another thread is decoding it.
  Block get_unless_busy(const Key& key, const std::function<Block()>& decode);

  // Lets it hold at least this much from now on.
  void raise_limit(int64_t bytes);

  int64_t bytes() const;

 private:
  struct Entry {
    std::shared_future<Block> block;
    std::list<Key>::iterator recent;
    int64_t bytes = 0;  // 0: being decoded
    int64_t used = 0;   // number of the last get
  };
  Block get(const Key& key, const std::function<Block()>& decode, bool wait);
  void make_room(const Key& newest);
  void drop_oldest(const Key& newest);
  bool drop(std::map<Key, Entry>::iterator it);

  const Drop drop_;
  int64_t max_bytes_;
  mutable std::mutex mutex_;
  std::map<Key, Entry> entries_;
  std::list<Key> recent_;  // newest first
  int64_t bytes_ = 0, gets_ = 0;
};

}  // namespace cytodet::tiling
