#include "api/stream_pool.h"

#include <algorithm>

namespace cytodet::api {

StreamPool::StreamPool(int streams) : busy_(static_cast<size_t>(std::max(1, streams))) {}

StreamPool::Lease StreamPool::take(int count) {
  const auto wanted = std::clamp<std::ptrdiff_t>(count, 1, static_cast<std::ptrdiff_t>(busy_.size()));
  std::unique_lock lock(mutex_);
  const uint64_t ticket = next_ticket_++;
  changed_.wait(lock, [&] { return ticket == served_ && std::count(busy_.begin(), busy_.end(), false) >= wanted; });
  ++served_;
  std::vector<int> taken;
  for (size_t s = 0; static_cast<std::ptrdiff_t>(taken.size()) < wanted; ++s) {
    if (busy_[s]) continue;
    busy_[s] = true;
    taken.push_back(static_cast<int>(s));
  }
  changed_.notify_all();
  return {*this, std::move(taken)};
}

void StreamPool::give_back(const std::vector<int>& streams) {
  const std::lock_guard lock(mutex_);
  for (const int s : streams) busy_[static_cast<size_t>(s)] = false;
  changed_.notify_all();
}

}  // namespace cytodet::api
