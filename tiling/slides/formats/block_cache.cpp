#include "tiling/slides/formats/block_cache.h"

#include <algorithm>

namespace cytodet::tiling {

Block BlockCache::get(const Key& key, const std::function<Block()>& decode) { return get(key, decode, true); }

Block BlockCache::get_unless_busy(const Key& key, const std::function<Block()>& decode) { return get(key, decode, false); }

void BlockCache::raise_limit(int64_t bytes) {
  std::lock_guard lock(mutex_);
  max_bytes_ = std::max(max_bytes_, bytes);
}

Block BlockCache::get(const Key& key, const std::function<Block()>& decode, bool wait) {
  std::promise<Block> promise;
  {
    std::unique_lock lock(mutex_);
    ++gets_;
    if (auto it = entries_.find(key); it != entries_.end()) {
      if (!wait && it->second.bytes == 0) return nullptr;
      recent_.splice(recent_.begin(), recent_, it->second.recent);
      it->second.used = gets_;
      std::shared_future<Block> block = it->second.block;
      lock.unlock();
      return block.get();
    }
    recent_.push_front(key);
    entries_[key] = {promise.get_future().share(), recent_.begin(), 0, gets_};
  }
  try {
    Block block = decode();
    promise.set_value(block);
    std::lock_guard lock(mutex_);
    entries_.at(key).bytes = static_cast<int64_t>(block->size());
    bytes_ += static_cast<int64_t>(block->size());
    make_room(key);
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

bool BlockCache::drop(std::map<Key, Entry>::iterator it) {
  if (it->second.bytes == 0) return false;
  bytes_ -= it->second.bytes;
  recent_.erase(it->second.recent);
  entries_.erase(it);
  return true;
}

void BlockCache::drop_oldest(const Key& newest) {
  for (auto it = recent_.end(); bytes_ > max_bytes_ && it != recent_.begin();) {
    const auto oldest = std::prev(it);
    if (*oldest == newest || !drop(entries_.find(*oldest))) it = oldest;
  }
}

// Blocks that are being decoded stay; the newest stays even when it alone is over the limit.
void BlockCache::make_room(const Key& newest) {
  if (drop_ == Drop::oldest) return drop_oldest(newest);
  constexpr int64_t kStale = 8;  // times the number of blocks held
  while (bytes_ > max_bytes_ && recent_.back() != newest) {
    auto oldest = entries_.find(recent_.back());
    if (gets_ - oldest->second.used < kStale * static_cast<int64_t>(entries_.size()) || !drop(oldest)) break;
  }
  for (auto it = entries_.begin(); bytes_ > max_bytes_ && it != entries_.end();) {
    const auto next = std::next(it);
    if (it->first != newest) drop(it);
    it = next;
  }
}

int64_t BlockCache::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace cytodet::tiling
