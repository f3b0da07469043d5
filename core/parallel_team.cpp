#include "core/parallel_team.h"

#include <sched.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_scheduler_observer.h>

#include <algorithm>

namespace cytodet::core {
namespace detail {

// Keeps threads that join an arena on the CPUs of its owner.
class SameCpus : public tbb::task_scheduler_observer {
 public:
  explicit SameCpus(tbb::task_arena& arena) : tbb::task_scheduler_observer(arena) {
    known_ = sched_getaffinity(0, sizeof cpus_, &cpus_) == 0;
    observe(true);
  }
  ~SameCpus() override { observe(false); }
  void on_scheduler_entry(bool worker) override {
    moved_ = worker && known_ && sched_getaffinity(0, sizeof home_, &home_) == 0 && !CPU_EQUAL(&home_, &cpus_) &&
             sched_setaffinity(0, sizeof cpus_, &cpus_) == 0;
  }
  void on_scheduler_exit(bool) override {
    if (moved_) sched_setaffinity(0, sizeof home_, &home_);
    moved_ = false;
  }

 private:
  cpu_set_t cpus_;
  bool known_ = false;
  static thread_local cpu_set_t home_;  // of the thread itself
  static thread_local bool moved_;
};
thread_local cpu_set_t SameCpus::home_;
thread_local bool SameCpus::moved_ = false;

}  // namespace detail

using detail::SameCpus;

struct ThreadTeam::Shared {
  explicit Shared(int threads) : arena(threads) { arena.initialize(); }
  tbb::task_arena arena;
  std::unique_ptr<SameCpus> same_cpus;  // of the first run
};

ThreadTeam::ThreadTeam(int threads) : shared_(threads > 1 ? std::make_unique<Shared>(threads) : nullptr) {}
ThreadTeam::~ThreadTeam() = default;

void ThreadTeam::run(const std::function<void()>& work) {
  if (!shared_) return work();
  if (!shared_->same_cpus) shared_->same_cpus = std::make_unique<SameCpus>(shared_->arena);
  shared_->arena.execute(work);
}

void for_each_task(int threads, int64_t n, const std::function<void(int64_t, int)>& body) {
  if (threads <= 1 || n <= 1) {
    for (int64_t i = 0; i < n; ++i) body(i, 0);
    return;
  }
  tbb::parallel_for(
      tbb::blocked_range<int64_t>(0, n, 1),
      [&](const tbb::blocked_range<int64_t>& range) {
        const int thread = std::max(0, tbb::this_task_arena::current_thread_index());
        for (int64_t i = range.begin(); i < range.end(); ++i) body(i, thread);
      },
      tbb::simple_partitioner{});
}

void for_each_chunk(int threads, int64_t n, int64_t min, const std::function<void(int64_t, int64_t, int)>& body) {
  constexpr int64_t kRunsPerThread = 4;
  int64_t runs = threads <= 1 ? 1 : std::clamp<int64_t>(n / std::max<int64_t>(1, min), 1, threads * kRunsPerThread);
  if (runs > threads) runs -= runs % threads;  // as many for each
  for_each_task(threads, runs, [&](int64_t i, int thread) { body(n * i / runs, n * (i + 1) / runs, thread); });
}

}  // namespace cytodet::core
