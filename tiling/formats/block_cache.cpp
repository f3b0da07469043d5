#include "tiling/formats/block_cache.h"

namespace cytodet {

Block BlockCache::get(const Key& key, const std::function<Block()>& decode) {
  std::promise<Block> promise;
  {
    std::unique_lock lock(mutex_);
    if (auto it = entries_.find(key); it != entries_.end()) {
      recent_.splice(recent_.begin(), recent_, it->second.recent);
      std::shared_future<Block> block = it->second.block;
      lock.unlock();
      return block.get();
    }
    recent_.push_front(key);
    entries_[key] = {promise.get_future().share(), recent_.begin(), 0};
  }
  try {
    Block block = decode();
    promise.set_value(block);
    std::lock_guard lock(mutex_);
    entries_.at(key).bytes = static_cast<int64_t>(block->size());
    bytes_ += static_cast<int64_t>(block->size());
    drop_oldest();
    return block;
  } catch (...) {
    promise.set_exception(std::current_exception());
    std::lock_guard lock(mutex_);
    auto it = entries_.find(key);
    recent_.erase(it->second.recent);
    entries_.erase(it);
    throw;
  }
}

// Blocks that are being decoded stay; the newest stays even when it alone is over the limit.
void BlockCache::drop_oldest() {
  for (auto it = recent_.end(); bytes_ > max_bytes_ && it != recent_.begin();) {
    --it;
    auto entry = entries_.find(*it);
    if (it == recent_.begin() || entry->second.bytes == 0) continue;
    bytes_ -= entry->second.bytes;
    entries_.erase(entry);
    it = recent_.erase(it);
  }
}

int64_t BlockCache::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace cytodet
