// Names of results: safe on every file system, distinct, and reversible.
#include "pipeline/results/result_names.h"

#include <gtest/gtest.h>

#include <random>

#include "core/unicode.h"
#include "pipeline/results/formats/output.h"

namespace cytodet::test {
namespace {

std::string only(const std::string& path) {
  ResultNames names;
  return names.name_for(path);
}

TEST(ResultNames, OrdinaryNamesStay) {
  EXPECT_EQ(only("in/BloodImage_00007.jpg"), "BloodImage_00007");
  EXPECT_EQ(only("a.ome.tif"), "a.ome");
  EXPECT_EQ(only("50% (1)+[x] \u75C5\u7406.svs"), "50% (1)+[x] \u75C5\u7406");
}

TEST(ResultNames, BytesThatAreNotUtf8AreEscapedAndComeBack) {
  EXPECT_EQ(only("Pr\xE4parat.jpg"), "Pr%E4parat");
  EXPECT_EQ(only("Pr%E4parat.jpg"), "Pr%25E4parat");
  EXPECT_EQ(escaped("dir/50%/Pr\xE4.jpg"), "dir/50%/Pr%E4.jpg");
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes;
    for (unsigned n = random() % 12; n > 0; --n) bytes += "%E4a\xE4\xC3\xA4\x25:\x01/"[random() % 11];
    EXPECT_EQ(unescaped(escaped(bytes)), bytes);
    EXPECT_EQ(unescaped(escaped(bytes, true)), bytes);
    EXPECT_TRUE(is_utf8(escaped(bytes)));
  }
}

TEST(ResultNames, WhatOtherSystemsRefuseIsEscaped) {
  EXPECT_EQ(only("2024-05-01 10:30.jpg"), "2024-05-01 10%3A30");
  EXPECT_EQ(only("a<b>c\"d|e?f*g\\h\x01.png"), "a%3Cb%3Ec%22d%7Ce%3Ff%2Ag%5Ch%01");
  EXPECT_EQ(only("trailing..jpg"), "trailing%2E");
  EXPECT_EQ(only("trailing .jpg"), "trailing%20");
  EXPECT_EQ(only("-o.jpg"), "%2Do");
  EXPECT_EQ(only(".hidden.jpg"), "%2Ehidden");
  for (const char* device : {"CON", "nul", "Com1", "LPT\u00B9", "aux.1", "PRN .x"})
    EXPECT_EQ(only(std::string(device) + ".tif")[0], '%');
  EXPECT_EQ(only("CON1.tif"), "CON1");
  EXPECT_EQ(only("COM.tif"), "COM");
}

TEST(ResultNames, OurOwnAreLeftFreeWhateverTheirCase) {
  for (const char* own : {"run", "Run", "DETECTIONS", "scores", "Boxes", "masks", "summary"})
    EXPECT_EQ(only(std::string(own) + ".jpg"), std::string(own) + "_picture");
}

TEST(ResultNames, NamesThatSomeFileSystemTakesForOneAreKeptApart) {
  ResultNames names;
  EXPECT_EQ(names.name_for("a/S1.jpg"), "S1");
  EXPECT_EQ(names.name_for("b/s1.jpg"), "s1_2");
  EXPECT_EQ(names.name_for("c/S1.png"), "S1_3");
  EXPECT_EQ(names.name_for("Pr\u00E4.jpg"), "Pr\u00E4");
  EXPECT_EQ(names.name_for("PRA\u0308.jpg"), "PRA\u0308_2");
  EXPECT_EQ(names.name_for("S1.Coco.jpg"), "S1.Coco_2") << "S1.coco.json would be a file of S1";
}

TEST(ResultNames, LongNamesAreCutAtAWholeCharacterAndStayDifferent) {
  std::string characters;
  for (int i = 0; i < 82; ++i) characters += "\u75C5";  // 246 bytes
  const std::string a = only(characters + ".jpg"), b = only(characters + "x.jpg");
  EXPECT_NE(a, b);
  for (const std::string& name : {a, b}) {
    EXPECT_TRUE(is_utf8(name));
    for (const pipeline::Output& o : outputs()) EXPECT_LE(name.size() + std::string(o.suffix).size(), 220u);
  }
  std::string bytes(247, '\xE4');
  EXPECT_EQ(only(bytes + ".jpg").find("%_"), std::string::npos) << "no escape is cut";
  EXPECT_LE(only(bytes + ".jpg").size(), 207u);
  const std::string fits(190, 'x');
  EXPECT_EQ(only(fits + ".jpg"), fits);
}

TEST(ResultNames, ManyOfOneNameTakeLinearTime) {
  ResultNames names;
  for (int i = 0; i < 20000; ++i) names.name_for("d" + std::to_string(i) + "/same.svs");
  EXPECT_EQ(names.name_for("same.svs"), "same_20001");
}

}  // namespace
}  // namespace cytodet::test
