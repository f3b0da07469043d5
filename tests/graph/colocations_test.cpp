#include "graph/ir/colocations.h"

#include <gtest/gtest.h>

namespace cytodet {
namespace {

Node node_of_classes(std::vector<std::string> entries) {
  AttrList list;
  list.strings = std::move(entries);
  Node node;
  node.attrs.emplace("_class", list);
  return node;
}

void erase_lost(Node& node) {
  erase_colocations(node, [](std::string_view other) { return other == "lost"; });
}

TEST(Colocations, OnlyThoseThatAreDroppedGo) {
  Node node = node_of_classes({"loc:@lost", "loc:@kept", "lost"});
  erase_lost(node);
  EXPECT_EQ(node.attr<AttrList>("_class").strings, (std::vector<std::string>{"loc:@kept", "lost"}));
}

TEST(Colocations, TheAttributeGoesWithItsLastEntry) {
  Node node = node_of_classes({"loc:@lost"});
  erase_lost(node);
  EXPECT_FALSE(node.has_attr("_class"));
}

TEST(Colocations, AnAttributeWithoutSuchEntriesStays) {
  Node node = node_of_classes({});
  erase_lost(node);
  EXPECT_TRUE(node.has_attr("_class"));
}

}  // namespace
}  // namespace cytodet
