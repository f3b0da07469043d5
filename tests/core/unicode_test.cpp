// Normal forms, and names that some file system takes for one.
#include "core/unicode.h"

#include <gtest/gtest.h>

namespace cytodet::test {
namespace {

TEST(Unicode, CharactersAreCountedAndOtherBytesRefused) {
  EXPECT_EQ(utf8_length("a", 0), 1u);
  EXPECT_EQ(utf8_length("\xC3\xA4", 0), 2u);
  EXPECT_EQ(utf8_length("\xE7\x97\x85", 0), 3u);
  EXPECT_EQ(utf8_length("\xF0\x9F\x98\x90", 0), 4u);
  for (const char* wrong : {"\xE4", "\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF", "\x80", "\xE0\x80\x80"})
    EXPECT_FALSE(is_utf8(wrong));
  EXPECT_TRUE(is_utf8("Pr\xC3\xA4parat \xE7\x97\x85"));
}

TEST(Unicode, NormalFormsAreOneText) {
  EXPECT_EQ(decomposed("Pr\u00E4parat"), "Pra\u0308parat");
  EXPECT_EQ(decomposed("Pra\u0308parat"), "Pra\u0308parat");
  EXPECT_EQ(decomposed("\u1EBF"), "e\u0302\u0301") << "through two steps";
  EXPECT_EQ(decomposed("\uAC01"), "\u1100\u1161\u11A8") << "Hangul";
  EXPECT_EQ(decomposed("a\u0301\u0323"), "a\u0323\u0301") << "marks by class";
  EXPECT_EQ(decomposed("\u212B"), "A\u030A") << "one of several letters that look alike";
  EXPECT_EQ(decomposed("Pr\xE4parat"), "Pr\xE4parat") << "what is no UTF-8 stays";
}

TEST(Unicode, NamesThatAFileSystemTakesForOneHaveOneKey) {
  EXPECT_EQ(name_key("S1.JSON"), name_key("s1.json"));
  EXPECT_EQ(name_key("\u00C4"), name_key("a\u0308"));
  EXPECT_EQ(name_key("STRASSE"), name_key("stra\u00DFe"));
  EXPECT_EQ(name_key("\u0416"), name_key("\u0436"));
  EXPECT_EQ(name_key("\u03A3"), name_key("\u03C2")) << "final sigma";
  EXPECT_EQ(name_key("\u0131"), name_key("I"));
  EXPECT_EQ(name_key("a\u200Db"), name_key("ab")) << "HFS+ ignores it";
  EXPECT_NE(name_key("a"), name_key("\u00E4"));
  EXPECT_NE(name_key("\xE4"), name_key("\xC4")) << "bytes without a meaning have no case";
}

}  // namespace
}  // namespace cytodet::test
