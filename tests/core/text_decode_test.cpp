// Texts as editors and systems write them, and JSON beyond the standard.
#include "core/text_decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/json_repair.h"
#include "core/settings.h"
#include "core/stray_text.h"
#include "tests/error_of.h"

namespace cytodet {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string utf16(std::u16string_view text, bool big_endian, bool mark) {
  std::string bytes;
  const auto put = [&](char16_t u) {
    const char high = static_cast<char>(u >> 8), low = static_cast<char>(u & 0xff);
    bytes += big_endian ? high : low;
    bytes += big_endian ? low : high;
  };
  if (mark) put(0xfeff);
  for (char16_t u : text) put(u);
  return bytes;
}

TEST(TextDecode, EveryEncodingGivesTheSameText) {
  const std::string wanted = "{\"name\": \"\u00e9\u7ec6\u80de\U0001f9eb\"}\r\n";
  const std::u16string wide = u"{\"name\": \"\u00e9\u7ec6\u80de\U0001f9eb\"}\r\n";
  EXPECT_EQ(decode_text(wanted, "t"), wanted);
  EXPECT_EQ(decode_text("\xef\xbb\xbf" + wanted, "t"), wanted);
  for (const bool big_endian : {false, true})
    for (const bool mark : {false, true})
      EXPECT_EQ(decode_text(utf16(wide, big_endian, mark), "t"), wanted) << big_endian << mark;
  EXPECT_EQ(decode_text("", "t"), "");
  EXPECT_EQ(decode_text("\xef\xbb\xbf", "t"), "");
  EXPECT_EQ(decode_text("\xff\xfe", "t"), "");
}

TEST(TextDecode, Utf16InPiecesOfAnySize) {
  const std::u16string wide = u"a\u7ec6\U0001f9ebz";
  const std::string bytes = utf16(wide, true, false);
  for (size_t step = 1; step < 6; ++step) {
    Utf16Decoder decoder(true, "t");
    std::string text;
    for (size_t i = 0; i < bytes.size(); i += step) decoder.add(std::string_view(bytes).substr(i, step), text);
    decoder.finish();
    EXPECT_EQ(text, "a\u7ec6\U0001f9ebz") << step;
  }
}

TEST(TextDecode, WhatIsNoTextIsNamedWithItsPlace) {
  EXPECT_THAT(error_of([] { decode_text("\xff\xfe\0\0a\0\0\0"s, "t.json"); }), HasSubstr("t.json: is text in UTF-32"));
  EXPECT_THAT(error_of([] { decode_text("\0\0\0[\0\0\0]"s, "t.json"); }), HasSubstr("UTF-32"));
  EXPECT_THAT(error_of([] {
                decode_text(
                    "\xff\xfe"
                    "a\0b"s,
                    "t.json");
              }),
              HasSubstr("odd number of bytes"));
  EXPECT_THAT(error_of([] { decode_text("\xfe\xff\0a\xd8\0\0b"s, "t.json"); }), HasSubstr("a surrogate stands alone at byte 4"));
  EXPECT_THAT(error_of([] { check_utf8("ab\ncd\xe4\n", "t.txt"); }),
              HasSubstr("t.txt: is not UTF-8: byte 0xE4 at line 2, column 3"));
  for (const char* bad : {"\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe4", "\xe4\x80", "\x80", "\xf0\x80\x80\x80"})
    EXPECT_EQ(invalid_utf8(bad), 0u) << bad;
  EXPECT_FALSE(invalid_utf8("\u00e9\u7ec6\U0001f9eb"));
}

TEST(TextDecode, NamesThatEndWithZerosAreNoUtf16) {
  const std::string names = "abc\0a.tif\0slide.svs\0"s;
  EXPECT_EQ(decode_text(names, "t"), names);
}

TEST(TextDecode, LinesEndInEveryWay) {
  EXPECT_THAT(lines_of_text("a\nb\r\nc\rd"), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(lines_of_text("a\n\n"), ElementsAre("a", ""));
}

TEST(Json, TakesMarksAndUtf16) {
  EXPECT_EQ(parse_json("\xef\xbb\xbf{\"a\": 1}", "t")["a"], 1);
  EXPECT_EQ(parse_json(utf16(u"{\"a\": 1}", false, true), "t")["a"], 1);
  EXPECT_EQ(parse_json(utf16(u"{\"a\": 1}", true, false), "t")["a"], 1);
  EXPECT_EQ(parse_json("{\r\"a\": 1\r}", "t")["a"], 1);
}

TEST(Json, NumbersWithoutAValueAreNoNumbers) {
  for (const char* word :
       {"NaN", "nan", "Infinity", "-Infinity", "-inf", "+Inf", "1.#QNAN", "-1.#IND", "nan(ind)", "1e999", "-1E+400"}) {
    const Json j =
        parse_json("{\"ignored\": [1, " + std::string(word) + "], \"text\": \"NaN, Infinity \\\" NaN\", \"used\": 7}", "t");
    EXPECT_EQ(j["used"], 7) << word;
    EXPECT_FALSE(j["ignored"][1].is_number()) << word;
    EXPECT_EQ(j["text"], "NaN, Infinity \" NaN");
  }
  EXPECT_EQ(parse_json("[1e-999, NaN]", "t")[0], 0);
}

struct Score {
  double least = 1;
  std::optional<double> most;
};
void fields(Fields& f, Score& s) {
  f("least", s.least);
  f("most", s.most);
}

TEST(Json, AFieldThatIsUsedMustBeFinite) {
  const auto error = [](const std::string& text) {
    return error_of([&] {
      Score s;
      read_settings(parse_json(text, "run.json"), s, "run.json");
    });
  };
  EXPECT_THAT(error("{\"least\": NaN}"), HasSubstr("run.json: least: must be a number, not {\"not finite\":\"NaN\"}"));
  EXPECT_THAT(error("{\"most\": Infinity}"), HasSubstr("most: must be a number"));
}

TEST(Json, PlacesAreThoseOfTheFile) {
  EXPECT_THAT(error_of([] { parse_json("{\"a\": NaN, \"b\": NaN,\n \"c\": [NaN, NaN, ?]}", "t"); }),
              HasSubstr("line 2, column 18"));
  EXPECT_THAT(error_of([] { parse_json("{\"a\": 1,\n \"b\": ?}", "t"); }), HasSubstr("line 2, column 7"));
  EXPECT_THAT(error_of([] { parse_json("{\"a\": \"\xe4\"}", "t"); }),
              HasSubstr("t: is not UTF-8: byte 0xE4 at line 1, column 8"));
}

TEST(Json, WhatIsNotJsonIsCalledByItsName) {
  EXPECT_THAT(error_of([] { parse_json("<!DOCTYPE html><html>", "t"); }), HasSubstr("is a web page (HTML), not JSON"));
  EXPECT_THAT(error_of([] { parse_json("version https://git-lfs.github.com/spec/v1\n", "t"); }),
              HasSubstr("is a Git LFS pointer, not JSON text; fetch the file itself: git lfs pull"));
  EXPECT_THAT(error_of([] { parse_json("PK\3\4....", "t"); }), HasSubstr("zip archive"));
  EXPECT_THAT(error_of([] { parse_json("<a/>", "t"); }), HasSubstr("t: is XML, not JSON text"));
}

TEST(StrayText, PagesAndPointersInEveryEncoding) {
  using namespace std::string_literals;
  const auto name_of = [](const std::string& bytes) {
    const std::optional<StrayText> stray = stray_text(bytes);
    return stray ? std::string(stray->name) : "";
  };
  std::string utf16 = "\xff\xfe";
  for (const char c : "<html><body>"s) utf16 += std::string{c, '\0'};
  for (const std::string& page :
       {"<!DOCTYPE HTML PUBLIC \"-//W3C\">"s, "\xef\xbb\xbf\r\n <html>"s, "<?xml version=\"1.0\"?>\n<html xmlns=\"x\">"s,
        "<!-- a comment --><HTML lang=\"en\">"s, "HTTP/1.1 404 Not Found\r\n\r\n<html>"s, utf16})
    EXPECT_EQ(name_of(page), "a web page (HTML)") << page;
  EXPECT_EQ(name_of("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"), "a Git LFS pointer");
  EXPECT_EQ(name_of("version https://hawser.github.com/spec/v1\noid sha256:00\nsize 5\n"), "a Git LFS pointer") << "as it was";
  EXPECT_EQ(name_of("/annex/objects/SHA256E-s5--00.svs\n"), "a git-annex pointer");
  for (const std::string& other : {""s, "<ASAP_Annotations/>"s, "{\"note\": \"<html>\"}"s, "version 2\n"s, "II*\0<html>"s})
    EXPECT_EQ(name_of(other), "") << other;
}

TEST(Json, LongIntegersBecomeFloatingPoint) {
  const std::optional<RepairedJson> r = repair_json("{\"id\": 340282366920938463463374607431768211455, \"n\": 12}");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->text, "{\"id\": 340282366920938463463374607431768211455e0, \"n\": 12}");
  EXPECT_FALSE(repair_json("{\"a\": [1, -2.5e3, true, null, \"NaN\", \"\\\"\"]}"));
}

}  // namespace
}  // namespace cytodet
