#include "core/parallel.h"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "core/cpu.h"
#include "core/enum_names.h"
#include "core/error.h"

namespace cytodet::core {

void parallel_for(int64_t n, int threads, const std::function<void(int64_t)>& body) {
  if (threads <= 0) threads = usable_cpus();
  if (threads == 1 || n <= 1) {
    for (int64_t i = 0; i < n; ++i) body(i);
    return;
  }
  tbb::global_control allowed(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(threads));
  tbb::task_arena arena(threads);
  arena.execute([&] { tbb::parallel_for(int64_t{0}, n, [&](int64_t i) { body(i); }); });
}

namespace {

class OrderedPipeline {
 public:
  OrderedPipeline(int workers, int in_flight, const PipelineStages& stages)
      : workers_(std::max(1, workers)), in_flight_(std::max(1, in_flight)), stages_(stages) {}

  void run() {
    std::vector<std::jthread> threads;
    for (int w = 0; w < workers_; ++w) threads.emplace_back([this, w] { work(w); });
    threads.clear();
    if (problem_) std::rethrow_exception(problem_);
  }

 private:
  using Item = std::shared_ptr<void>;

  void work(int worker) {
    ScopedAffinity pinned(workers_ == usable_cpus() ? cpus_of_stream(worker, workers_, 1) : std::vector<int>{});
    try {
      int64_t number = 0;
      while (Item item = next(number)) {
        stages_.work(item.get(), worker);
        finished(number, std::move(item));
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!problem_) problem_ = std::current_exception();
      ended_ = true;
      room_.notify_all();
    }
  }

  // Empty when there is no more to do.
  Item next(int64_t& number) {
    const std::lock_guard one_at_a_time(producing_);
    {
      std::unique_lock lock(mutex_);
      room_.wait(lock, [this] { return ended_ || produced_ - consumed_ < in_flight_; });
      if (ended_) return nullptr;
    }
    Item item = stages_.produce();
    const std::lock_guard lock(mutex_);
    if (!item) ended_ = true;
    number = produced_++;
    return item;
  }

  // Hands over what is next in order, unless another thread is about to.
  void finished(int64_t number, Item item) {
    std::unique_lock lock(mutex_);
    waiting_.emplace(number, std::move(item));
    if (consuming_) return;
    consuming_ = true;
    while (!problem_ && !waiting_.empty() && waiting_.begin()->first == consumed_) {
      Item first = std::move(waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
      lock.unlock();
      stages_.consume(first.get());
      first.reset();
      lock.lock();
      ++consumed_;
      room_.notify_all();
    }
    consuming_ = false;
  }

  const int workers_, in_flight_;
  const PipelineStages& stages_;
  std::mutex producing_, mutex_;
  std::condition_variable room_;
  std::map<int64_t, Item> waiting_;
  int64_t produced_ = 0, consumed_ = 0;
  bool ended_ = false, consuming_ = false;
  std::exception_ptr problem_;
};

// Before any thread was pinned.
const std::vector<int>& all_cpus() {
  static const std::vector<int> cpus = allowed_cpus();
  return cpus;
}

}  // namespace

void run_pipeline_untyped(int workers, int in_flight, const PipelineStages& stages) {
  OrderedPipeline(workers, in_flight, stages).run();
}

ScopedAffinity::ScopedAffinity(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  all_cpus();
  std::vector<int> before = allowed_cpus();
  if (set_allowed_cpus(cpus)) before_ = std::move(before);
}

ScopedAffinity::~ScopedAffinity() {
  if (held()) set_allowed_cpus(before_);
}

void use_all_cpus() { set_allowed_cpus(all_cpus()); }

std::vector<int> cpus_of_stream(int stream, int streams, int threads) {
  const std::vector<int>& cpus = all_cpus();
  size_t wanted = static_cast<size_t>(streams) * static_cast<size_t>(threads);
  static const bool quota = usable_cpus() < static_cast<int>(cpus.size());
  if (quota || wanted > cpus.size()) return {};
  auto first = cpus.begin() + std::ptrdiff_t{stream} * threads;
  return {first, first + threads};
}

CpuSets cpu_sets_of(const ParallelSettings& parallel, bool pin) {
  CpuSets cpu_sets;
  for (int s = 0; s < parallel.streams; ++s)
    cpu_sets.push_back(pin ? cpus_of_stream(s, parallel.streams, parallel.threads) : std::vector<int>{});
  return cpu_sets;
}

ParallelHint parallel_hint_named(const std::string& name) {
  constexpr EnumName<ParallelHint> kHints[] = {{ParallelHint::throughput, "throughput"}, {ParallelHint::latency, "latency"}};
  if (const ParallelHint* hint = value_in(kHints, name)) return *hint;
  throw UsageError("--hint", "must be latency or throughput, not \"" + name + "\"");
}

ParallelSettings share_cpus(ParallelSettings asked, ParallelHint hint) {
  ParallelSettings given = asked;
  const bool latency = hint == ParallelHint::latency;
  if (given.streams <= 0 && latency) given.streams = 1;
  if (given.threads <= 0) given.threads = latency ? std::max(1, usable_cpus() / given.streams) : 1;
  if (given.streams <= 0) given.streams = std::max(1, usable_cpus() / given.threads);
  return given;
}

}  // namespace cytodet::core
