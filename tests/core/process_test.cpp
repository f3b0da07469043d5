#include "core/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/timing.h"
#include "tests/error_of.h"

namespace cytodet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Ran {
  ProcessEnd end;
  std::vector<std::string> lines;
};
Ran ran(const std::vector<std::string>& words, double timeout_s = 20) {
  Ran r;
  r.end = run_process(words, timeout_s, [&](std::string_view line) { r.lines.emplace_back(line); });
  return r;
}

TEST(SplitCommand, AsAShellDoes) {
  EXPECT_THAT(split_command("python run.py --in-graph {}", "c"), ElementsAre("python", "run.py", "--in-graph", "{}"));
  EXPECT_THAT(split_command(R"(a 'b c' "d \"e\" \n" f\ g '' x"y"z)", "c"),
              ElementsAre("a", "b c", "d \"e\" \\n", "f g", "", "xyz"));
  EXPECT_THAT(split_command("a $HOME `b` *.c ; d", "c"), ElementsAre("a", "$HOME", "`b`", "*.c", ";", "d"));
  EXPECT_THAT(error_of([] { split_command("a 'b", "--callback"); }), HasSubstr("--callback: has a quote ' that is not closed"));
  EXPECT_THAT(error_of([] { split_command("  ", "--callback"); }), HasSubstr("names no program"));
}

TEST(RunProcess, GivesTheLinesOfBothOutputsAndTheCode) {
  const Ran r = ran({"sh", "-c", "echo one; echo two >&2; printf 'three\\r\\nfour'; exit 3"});
  EXPECT_THAT(r.lines, ElementsAre("one", "two", "three", "four"));
  EXPECT_EQ(r.end.code, 3);
  EXPECT_FALSE(r.end.timed_out);
}

TEST(RunProcess, NothingIsOnItsInput) { EXPECT_EQ(ran({"cat"}).end.code, 0); }

TEST(RunProcess, ASignalIsItsCode) { EXPECT_EQ(ran({"sh", "-c", "kill -TERM $$"}).end.code, 128 + 15); }

TEST(RunProcess, WhatCannotBeStartedIsAnError) {
  EXPECT_THAT(error_of([] { ran({"no-such-program-of-ours"}); }),
              HasSubstr("no-such-program-of-ours: cannot be started: No such file"));
}

TEST(RunProcess, LongLinesAreCut) {
  const Ran r = ran({"sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end"});
  ASSERT_EQ(r.lines.size(), 2u);
  EXPECT_EQ(r.lines[0].size(), size_t{1} << 20);
  EXPECT_EQ(r.lines[1], "end");
}

TEST(RunProcess, WhatHangsIsEndedWithAllThatItStarted) {
  Stopwatch watch;
  const Ran r = ran({"sh", "-c", "sleep 60 & echo started; sleep 60"}, 1);
  EXPECT_TRUE(r.end.timed_out);
  EXPECT_THAT(r.lines, ElementsAre("started"));
  EXPECT_LT(watch.ms(), 20000);
}

TEST(RunProcess, AChildThatStaysBehindIsNotWaitedFor) {
  Stopwatch watch;
  const Ran r = ran({"sh", "-c", "sleep 30 & echo done"}, 0);
  EXPECT_EQ(r.end.code, 0);
  EXPECT_LT(watch.ms(), 20000);
}

}  // namespace
}  // namespace cytodet
