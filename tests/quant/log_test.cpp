#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "quant/calibration_log.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const std::string kData = cytodet::source_dir() + "/tests/data/quant/";

struct Count {
  const char* file;
  int64_t lines;
  size_t records, nodes;
};

// Reads a whole log, and parts that hold several records on a line, or lines that end in \r.
TEST(Log, RealLogs) {
  for (const Count& c : {Count{"resnet50_min_max_log.txt", 520, 520, 52}, Count{"inceptionv4_part_log.txt", 348, 351, 148},
                         Count{"ssd_mobilenet_part_log.txt", 64, 65, 33}}) {
    CalibrationLog log = read_log(kData + c.file);
    std::set<std::string> nodes;
    for (const LogRecord& r : log.records) nodes.insert(r.node);
    EXPECT_EQ(log.lines, c.lines) << c.file;
    EXPECT_EQ(log.records.size(), c.records) << c.file;
    EXPECT_EQ(nodes.size(), c.nodes) << c.file;
    EXPECT_EQ(log.rejected, 0) << c.file;
    Ranges r = ranges_of(log, c.file);
    EXPECT_EQ(r.values.size(), c.nodes) << c.file;
  }
  EXPECT_EQ(ranges_of(read_log(kData + "resnet50_min_max_log.txt"), "").images, 10);
}

TEST(Log, Grammar) {
  CalibrationLog log = parse_log(
      "noise\r\n[SomePrefix] ;range_op__print__;__requant_min_max:[-2.4313571][10.584145]\n"
      ";a/max_v0__print__;__max:[5.72];a/min__print__;__min:[-0]\r"
      ";se__print__;__requant_min_max:[-2.35420851e+09][1e3]\n"
      ";kl__print__;__KL:[0.5 1  2.5 -3]\n;other__print__;__unknown:[1]\n;__print__;__max:[1]\n;__max:[1]\n");
  ASSERT_THAT(log.records, SizeIs(5));
  EXPECT_EQ(log.lines, 4);
  EXPECT_EQ(log.rejected, 0);
  EXPECT_EQ(log.records[0], (LogRecord{LogKind::requant_min_max, "range_op", {-2.4313571f, 10.584145f}}));
  EXPECT_EQ(log.records[1], (LogRecord{LogKind::max, "a/max_v0", {5.72f}}));
  EXPECT_EQ(log.records[2], (LogRecord{LogKind::min, "a/min", {0}}));
  EXPECT_EQ(log.records[3].values[0], -2.35420851e+09f);
  EXPECT_THAT(log.records[4].values, ElementsAre(0.5f, 1, 2.5f, -3));
  std::string text;
  for (const LogRecord& r : log.records) text += to_text(r) + "\n";
  EXPECT_EQ(parse_log(text).records, log.records);
  EXPECT_THAT(text, HasSubstr(";a/max_v0__print__;__max:[5.72]\n"));
}

TEST(Log, BrokenRecordsAreCountedAndTheOthersKept) {
  for (const char* numbers : {"[-1.bad][2.0]", "[1][2][3]", "[1]", "[][1]", "[1 2][3]", "1 2", "[1][2", "[nan][1]", "[0][inf]",
                              "[0][1e99]", "[2][1]", "[0x10][99]", "[1][2]x", ""}) {
    CalibrationLog log =
        parse_log(std::string(";a__print__;__requant_min_max:") + numbers + ";b__print__;__requant_min_max:[-1.0][2.0]\n");
    EXPECT_EQ(log.rejected, 1) << numbers;
    ASSERT_THAT(log.problems, SizeIs(1)) << numbers;
    EXPECT_THAT(log.problems[0], HasSubstr("line 1: the record of a is broken"));
    ASSERT_THAT(log.records, SizeIs(1)) << numbers;
    EXPECT_EQ(log.records[0].node, "b");
  }
}

// The 5th to 95th percentile of 20 batches leaves out the strangest batch at each end, rounded outwards.
TEST(Log, RangesAreTrimmedOutwards) {
  std::string text;
  for (int i = 1; i <= 19; ++i)
    text += ";a__print__;__requant_min_max:[-" + std::to_string(i) + "][" + std::to_string(100 + i) + "]\n";
  text += ";a__print__;__requant_min_max:[-9000][9000]\n;b__print__;__max:[3];b__print__;__min:[-0]\n;b__print__;__max:[2]\n";
  Ranges r = ranges_of(parse_log(text), "log");
  EXPECT_EQ(r.values["a"].low, -19);
  EXPECT_EQ(r.values["a"].high, 119);
  EXPECT_EQ(r.values["b"].low, 0);
  EXPECT_FALSE(std::signbit(r.values["b"].low));
  EXPECT_EQ(r.values["b"].high, 3);
  EXPECT_EQ(ranges_of(parse_log(text), "log", 1).values["a"].low, -9000);
  EXPECT_EQ(ranges_of(parse_log(text), "log", 0.5).values["a"].high, 110);
  Ranges kl = ranges_of(parse_log(";k__print__;__KL:[0.5 1 -3]\n;k__print__;__KL:[2]\n"), "log");
  EXPECT_EQ(kl.values["k"].low, -3);
  EXPECT_EQ(kl.values["k"].high, 2);
}

TEST(Log, Errors) {
  auto message = [](const std::string& text) {
    try {
      ranges_of(parse_log(text), "x.log");
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(message("nothing\n"), HasSubstr("x.log: holds no calibration record"));
  EXPECT_THAT(message(";a__print__;__max:[3]\n"), HasSubstr("x.log: node a: has only a __max; log both"));
  EXPECT_THAT(message(";a__print__;__min:[3]\n"), HasSubstr("has only a __min"));
  EXPECT_THAT(message(";a__print__;__min:[3];a__print__;__max:[1]\n"), HasSubstr("minima above its maxima"));
}

}  // namespace
}  // namespace cytodet
