// The machine's peak and the sharing out of its CPUs.
#include "core/peak.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"

namespace cytodet::test {
namespace {

TEST(Peak, EveryInstructionMultipliesWhatItSays) {
  std::set<std::string> kinds;
  for (const PeakInstruction& row : peak_instructions()) {
    if (!row.available()) continue;
    kinds.insert(row.kind);
    EXPECT_EQ(row.run(1000), 1000 * row.macs) << row.name;
    EXPECT_EQ(row.run(0), 0) << row.name;
  }
  EXPECT_TRUE(kinds.contains("int8"));
  EXPECT_TRUE(kinds.contains("f32"));
  EXPECT_EQ(kinds.contains("bf16"), isa() >= Isa::avx512_bf16);
}

TEST(Peak, IsPositiveAndSaysHow) {
  Peak p = measure_peak(1);
  EXPECT_EQ(p.threads, 1);
  EXPECT_GT(p.int8_gmacs, 0);
  EXPECT_GT(p.f32_gmacs, 0);
  EXPECT_GT(p.copy_gbs, 0);
  EXPECT_FALSE(p.int8_instruction.empty());
  EXPECT_FALSE(p.f32_instruction.empty());
  EXPECT_EQ(p.bf16_instruction.empty(), p.bf16_gmacs == 0);
}

TEST(Peak, PeakOfAPeriodIsAtMostThePeak) {
  Peak p = measure_peak(1);
  const double gmacs = sustained_gmacs(p.int8_instruction, {cpus_of_stream(0, 1, 1)}, 0.02);
  EXPECT_GT(gmacs, 0);
  EXPECT_LT(gmacs, 2 * p.int8_gmacs) << "generous for a machine whose clock rises";
  EXPECT_GT(sustained_gmacs(p.int8_instruction, {{}, {}}, 0.02), 0);
  EXPECT_THROW(sustained_gmacs("abacus", {{}}, 0.02), UsageError);
}

TEST(Peak, CoresGivenAreAboutThoseThereAre) {
  const double given = effective_cores();
  EXPECT_GE(given, 0) << "0: the machine is too busy to measure";
  EXPECT_LE(given, 1.05 * usable_cpus());
}

TEST(Peak, ALineTakesItsTimeFromCoreToCore) {
  const double ns = core_to_core_ns();
  EXPECT_GE(ns, 0);
  EXPECT_LE(ns, kFarthestNs);
  if (usable_cpus() == 1) {
    EXPECT_EQ(ns, 0);
  }
}

TEST(Pinning, HoldsAThreadAndLetsItGo) {
  std::vector<int> before = allowed_cpus();
  ASSERT_FALSE(before.empty());
  {
    ScopedAffinity pinned({before.back()});
    if (pinned.held()) {
      EXPECT_EQ(allowed_cpus(), std::vector<int>{before.back()});
      std::vector<int> child;
      std::thread([&] { child = allowed_cpus(); }).join();
      EXPECT_EQ(child, std::vector<int>{before.back()}) << "threads it starts stay there too";
    }
  }
  EXPECT_EQ(allowed_cpus(), before);
}

TEST(Pinning, RefusedOrEmptyIsNoError) {
  std::vector<int> before = allowed_cpus();
  EXPECT_FALSE(ScopedAffinity({}).held());
  EXPECT_FALSE(ScopedAffinity({100000}).held());
  EXPECT_FALSE(ScopedAffinity({-1}).held());
  EXPECT_EQ(allowed_cpus(), before);
}

TEST(Pinning, StreamsLieApart) {
  int cpus = static_cast<int>(allowed_cpus().size());
  EXPECT_TRUE(cpus_of_stream(0, cpus + 1, 1).empty()) << "more streams than CPUs";
  std::set<int> taken;
  for (int s = 0; s < cpus; ++s)
    for (int c : cpus_of_stream(s, cpus, 1)) EXPECT_TRUE(taken.insert(c).second);
  EXPECT_TRUE(taken.empty() || static_cast<int>(taken.size()) == cpus);
}

TEST(ParallelSettings, FollowsTheHint) {
  int cpus = usable_cpus();
  ParallelSettings latency = share_cpus({}, ParallelHint::latency), throughput = share_cpus({}, ParallelHint::throughput);
  EXPECT_EQ(latency.streams, 1);
  EXPECT_EQ(latency.threads, cpus);
  EXPECT_EQ(throughput.streams, cpus);
  EXPECT_EQ(throughput.threads, 1);
  ParallelSettings asked = share_cpus({3, 2}, parallel_hint_named("latency"));
  EXPECT_EQ(asked.streams, 3);
  EXPECT_EQ(asked.threads, 2);
  EXPECT_EQ(share_cpus({0, 100000}, parallel_hint_named("throughput")).streams, 1);
  EXPECT_THROW(parallel_hint_named("fast"), UsageError);
}

}  // namespace
}  // namespace cytodet::test
