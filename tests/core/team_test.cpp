#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "core/parallel_team.h"

namespace cytodet {
namespace {

TEST(ThreadTeam, EveryTaskIsDoneOnceByAThreadOfItsOwnNumber) {
  for (int threads : {1, 2, 5}) {
    ThreadTeam team(threads);
    team.run([&] {
      for (int64_t n : {0, 1, 7, 1000}) {
        std::vector<std::atomic<int>> done(static_cast<size_t>(n)), busy(static_cast<size_t>(threads));
        for_each_task(threads, n, [&](int64_t i, int thread) {
          ASSERT_LT(thread, threads);
          EXPECT_EQ(busy[static_cast<size_t>(thread)].fetch_add(1), 0);  // its scratch is nobody else's
          ++done[static_cast<size_t>(i)];
          --busy[static_cast<size_t>(thread)];
        });
        for (const auto& times : done) ASSERT_EQ(times, 1);
      }
    });
  }
}

TEST(ThreadTeam, RunsCoverTheWholeAndAreNotShorterThanTheLeast) {
  ThreadTeam team(3);
  team.run([&] {
    for (int64_t n : {0, 1, 9, 10, 100, 4097})
      for (int64_t least : {1, 10, 5000}) {
        std::vector<std::atomic<int>> done(static_cast<size_t>(n));
        for_each_chunk(3, n, least, [&](int64_t begin, int64_t end, int) {
          EXPECT_TRUE(end - begin >= least || end - begin == n) << begin << " to " << end;
          for (int64_t i = begin; i < end; ++i) ++done[static_cast<size_t>(i)];
        });
        for (const auto& times : done) ASSERT_EQ(times, 1);
      }
  });
}

TEST(ThreadTeam, ManyShortRoundsAndAnExceptionOfTheWork) {
  ThreadTeam team(2);
  int64_t sum = 0;
  team.run([&] {
    for (int round = 0; round < 2000; ++round) {
      std::atomic<int64_t> total{0};
      for_each_task(2, 8, [&](int64_t i, int) { total += i; });
      sum += total;
    }
  });
  EXPECT_EQ(sum, 2000 * 28);
  EXPECT_THROW(team.run([] { throw std::runtime_error("x"); }), std::runtime_error);
}

TEST(ThreadTeam, StaysOnTheCpusOfItsOwner) {
  const std::vector<int> before = allowed_cpus();
  std::thread([&] {
    ScopedAffinity pinned({before.front()});
    if (!pinned.held()) return;
    ThreadTeam team(3);
    team.run([&] {
      for_each_task(3, 64, [&](int64_t, int) {
        EXPECT_EQ(allowed_cpus(), std::vector<int>{before.front()});
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      });
    });
  }).join();
  EXPECT_EQ(allowed_cpus(), before);
}

}  // namespace
}  // namespace cytodet
