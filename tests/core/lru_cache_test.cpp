#include "core/lru_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace cytodet::test {
namespace {

TEST(LruCache, ForgetsWhatWasUsedLongestAgo) {
  LruCache<int, std::string> cache(2);
  EXPECT_EQ(cache.newest(), nullptr);
  cache.put(1, "one");
  cache.put(2, "two");
  ASSERT_NE(cache.get(1), nullptr);  // 2 is the oldest now
  EXPECT_EQ(*cache.newest(), "one");
  EXPECT_EQ(cache.put(3, "three"), "three");
  EXPECT_EQ(cache.get(2), nullptr);
  EXPECT_EQ(*cache.get(1), "one");
  EXPECT_EQ(*cache.get(3), "three");
  EXPECT_EQ(cache.size(), 2u);
}

TEST(LruCache, CostsAreBoundedAndTheNewestStays) {
  LruCache<std::string, int> cache(100);
  cache.put("a", 1, 40);
  cache.put("b", 2, 40);
  cache.put("c", 3, 60);  // takes the place of a
  EXPECT_EQ(cache.get("a"), nullptr);
  EXPECT_EQ(cache.cost(), 100u);
  cache.put("huge", 4, 1000);
  EXPECT_EQ(cache.size(), 1u);
  EXPECT_EQ(*cache.get("huge"), 4);
  cache.put("d", 5, 10);
  EXPECT_EQ(cache.get("huge"), nullptr);
  EXPECT_EQ(cache.cost(), 10u);
}

TEST(LruCache, AKeyHasOneValue) {
  LruCache<int, std::unique_ptr<int>> cache(10);
  cache.put(7, std::make_unique<int>(1), 6);
  cache.put(7, std::make_unique<int>(2), 4);
  EXPECT_EQ(cache.size(), 1u);
  EXPECT_EQ(cache.cost(), 4u);
  EXPECT_EQ(**cache.get(7), 2);
}

}  // namespace
}  // namespace cytodet::test
