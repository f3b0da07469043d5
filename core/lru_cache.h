// A cache of bounded cost that forgets what was used longest ago. Not synchronized.
#pragma once

#include <cstddef>
#include <iterator>
#include <list>
#include <map>
#include <utility>

namespace cytodet::core {

template <class Key, class Value>
class LruCache {
 public:
  // `max_cost`: the sum of the entries' costs, in the unit that put() is given (entries, bytes). The newest entry stays even when
  // it alone costs more.
  explicit LruCache(size_t max_cost) : max_cost_(max_cost) {}

  LruCache(const LruCache&) = delete;  // its iterators point into itself
  LruCache& operator=(const LruCache&) = delete;

  // The value, which is the newest then; null where there is none. Valid until the next put().
  Value* get(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->value;
  }

  // Keeps a value as the newest, in the place of that of this key, and forgets the oldest until the limit is kept.
  Value& put(const Key& key, Value value, size_t cost = 1) {
    if (const auto found = index_.find(key); found != index_.end()) drop(found->second);
    entries_.push_front({key, std::move(value), cost});
    index_[key] = entries_.begin();
    cost_ += cost;
    while (cost_ > max_cost_ && entries_.size() > 1) drop(std::prev(entries_.end()));
    return entries_.front().value;
  }

  // What was used last; null: it is empty.
  const Value* newest() const { return entries_.empty() ? nullptr : &entries_.front().value; }

  size_t size() const { return entries_.size(); }
  size_t cost() const { return cost_; }

 private:
  struct Entry {
    Key key;
    Value value;
    size_t cost;
  };
  void drop(typename std::list<Entry>::iterator entry) {
    cost_ -= entry->cost;
    index_.erase(entry->key);
    entries_.erase(entry);
  }

  size_t max_cost_, cost_ = 0;
  std::list<Entry> entries_;  // newest first
  std::map<Key, typename std::list<Entry>::iterator> index_;
};

}  // namespace cytodet::core
