#include "core/hash.h"

#include <gtest/gtest.h>

namespace cytodet::core {
namespace {

std::string fnv(std::string_view bytes) {
  Fnv1a hash;
  hash.bytes(bytes.data(), bytes.size());
  return hash.text();
}

// The values of the algorithm's published test suite: files of users hold such hashes.
TEST(Hash, Fnv1aHasItsPublishedValues) {
  EXPECT_EQ(fnv(""), "cbf29ce484222325");
  EXPECT_EQ(fnv("a"), "af63dc4c8601ec8c");
  EXPECT_EQ(fnv("foobar"), "85944171f73967e8");
}

TEST(Hash, ListsOfPartsHaveTheirKnownValues) {
  EXPECT_EQ(Hash().text(), "cbf29ce484222325");
  EXPECT_EQ(Hash().add("foobar").text(), "b277229a2d9d19f2");
  EXPECT_EQ(Hash().add("foo").add("bar").text(), "e85e3531f507e34a");
  EXPECT_EQ(Hash().add("").text(), "a8c7f832281a39c5");
}

}  // namespace
}  // namespace cytodet::core
