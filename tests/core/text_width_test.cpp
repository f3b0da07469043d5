// Names of any script stand in columns, are cut at whole characters, and cannot write to the terminal themselves.
#include "core/text_width.h"

#include <gtest/gtest.h>

#include "core/unicode.h"

namespace cytodet {
namespace {

TEST(TextWidth, WideCharactersTakeTwoColumnsAndMarksNone) {
  EXPECT_EQ(display_width("cells"), 5u);
  EXPECT_EQ(display_width("Präparat"), 8u);
  EXPECT_EQ(display_width("Pra\u0308parat"), 8u);  // a with a combining mark
  EXPECT_EQ(display_width("病理科"), 6u);
  EXPECT_EQ(display_width("ﾊﾝｶｸ"), 4u);  // half-width forms
  EXPECT_EQ(display_width("ＡＢ"), 4u);  // full-width forms
  EXPECT_EQ(display_width("한글"), 4u);
  EXPECT_EQ(display_width("한글"), 4u);  // the same in separate letters
  EXPECT_EQ(display_width("🔬"), 2u);
  EXPECT_EQ(display_width("שלום"), 4u);
  EXPECT_EQ(display_width("ไทย"), 3u);
  EXPECT_EQ(display_width(""), 0u);
}

TEST(TextWidth, CutsBeforeAWholeCharacter) {
  EXPECT_EQ(cut_to_width("病理科", 6), "病理科");
  EXPECT_EQ(cut_to_width("病理科", 5), "病理…");
  EXPECT_EQ(cut_to_width("病理科", 4), "病…");
  EXPECT_EQ(cut_to_width("病理科", 1), "…");
  EXPECT_EQ(cut_to_width("病理科", 0), "");
  EXPECT_EQ(cut_to_width("a\u0308b\u0308c\u0308", 2), "a\u0308…");  // a mark stays with its letter
  EXPECT_EQ(cut_to_width("slide", 5), "slide");
  EXPECT_EQ(cut_to_width("slides", 5), "slid…");
}

TEST(TextWidth, AlignedTextTakesItsColumnsExactly) {
  const std::string texts[] = {"", "a", "病理科_宮頸細胞學", "Pra\u0308parat", "\xff\xfe latin", "x\ty\nz", "🔬🔬🔬🔬"};
  for (const std::string& text : texts)
    for (size_t columns = 1; columns < 20; ++columns) {
      EXPECT_EQ(display_width(left_aligned(text, columns)), columns) << text;
      EXPECT_EQ(display_width(right_aligned(text, columns)), columns) << text;
      EXPECT_TRUE(is_utf8(left_aligned(text, columns))) << text;
    }
  EXPECT_EQ(right_aligned("病", 4), "  病");
  EXPECT_EQ(left_aligned("病", 4), "病  ");
}

TEST(TextWidth, WhatWouldActOnATerminalIsEscaped) {
  EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(printable("a\nb\tc\r"), "a\\nb\\tc\\r");
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("a\x7f"), "a\\x7f");
  EXPECT_EQ(printable("\u009b31m"), "\\x9b31m");              // C1: starts a control sequence in one character
  EXPECT_EQ(printable("a\u202egpj.exe"), "a\\u202egpj.exe");  // turns the direction of writing
  EXPECT_EQ(printable("\u2028"), "\\u2028");
  EXPECT_EQ(printable("Pr\xe4parat"), "Pr\\xe4parat");      // Latin-1
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("病理_ä"), "病理_ä");
  EXPECT_EQ(display_width("\xff"), 4u);
}

TEST(TextWidth, LinesStayLines) {
  EXPECT_EQ(printable_lines("a\x1b\nb\n\n"), "a\\x1b\nb\n\n");
  EXPECT_EQ(printable_lines("a"), "a");
  EXPECT_EQ(printable_lines(""), "");
}

TEST(TextWidth, ValidTextIsLeftAsItIs) {
  EXPECT_EQ(valid_utf8("病\n\x1b\u202e"), "病\n\x1b\u202e");
  EXPECT_EQ(valid_utf8("Pr\xe4parat \xff"), "Pr\\xe4parat \\xff");
}

}  // namespace
}  // namespace cytodet
