#include "core/enum_names.h"

#include <gtest/gtest.h>

#include "tests/error_of.h"

namespace cytodet::test {
namespace {

enum class Side { left, right, none };
constexpr EnumName<Side> kSides[] = {{Side::left, "left"}, {Side::right, "right"}};

TEST(EnumNames, InBothDirections) {
  EXPECT_STREQ(name_in(kSides, Side::right), "right");
  EXPECT_STREQ(name_in(kSides, Side::none), "");
  EXPECT_EQ(value_named(kSides, "left", "key", "side"), Side::left);
  EXPECT_EQ(value_in(kSides, "Left"), nullptr);
}

TEST(EnumNames, UnknownOnesAreRefusedWithTheKnown) {
  const std::string text = error_of([] { value_named(kSides, "up", "--side", "side"); });
  for (const char* part : {"--side", "there is no side \"up\"", "known: left, right"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
}

}  // namespace
}  // namespace cytodet::test
