// Threads: with parallel_team.h, the only place that knows TBB. Results must not depend on the number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

// body(i) for i in [0, n) on at most `threads` threads (0: all usable). The first exception is rethrown.
void parallel_for(int64_t n, int threads, const std::function<void(int64_t)>& body);

// A bounded three-stage pipeline: `produce` (serial, called in order, empty ends it) -> `work` (up to `workers` at once;
// worker index in [0, workers), each a thread of its own) -> `consume` (serial, in the order produced). At most `in_flight`
// items exist at a time, so memory does not grow with the input. The first exception stops it and is rethrown. When there are
// as many `workers` as CPUs, each is pinned to one, so that a network keeps its cache. Threads that the three functions start
// must go through start_anywhere(). Items are moved through std::shared_ptr<void>; the typed wrapper is below.
struct PipelineStages {
  std::function<std::shared_ptr<void>()> produce;
  std::function<void(void* item, int worker)> work;
  std::function<void(void* item)> consume;
};
void run_pipeline_untyped(int workers, int in_flight, const PipelineStages& stages);

template <class Item>
struct Pipeline {
  std::function<std::optional<Item>()> produce;
  std::function<void(Item&, int worker)> work;
  std::function<void(Item&)> consume;

  void run(int workers, int in_flight) const {
    run_pipeline_untyped(workers, in_flight,
                         {[this]() -> std::shared_ptr<void> {
                            std::optional<Item> item = produce();
                            return item ? std::make_shared<Item>(std::move(*item)) : nullptr;
                          },
                          [this](void* item, int worker) { work(*static_cast<Item*>(item), worker); },
                          [this](void* item) { consume(*static_cast<Item*>(item)); }});
  }
};

// Pins the calling thread, and threads that it starts from then on, to some CPUs until the object ends. With an empty list, or
// when the system does not allow it, nothing happens and held() is false.
class ScopedAffinity {
 public:
  explicit ScopedAffinity(const std::vector<int>& cpus);
  ~ScopedAffinity();
  ScopedAffinity(const ScopedAffinity&) = delete;
  ScopedAffinity& operator=(const ScopedAffinity&) = delete;
  bool held() const { return !before_.empty(); }

 private:
  std::vector<int> before_;
};

// Lifts what pins the calling thread.
void use_all_cpus();

// f() on a thread of its own, which may use all CPUs even if a ScopedAffinity holds the calling thread.
template <class F>
auto start_anywhere(F f) {
  return std::async(std::launch::async, [f = std::move(f)]() mutable {
    use_all_cpus();
    return f();
  });
}

// The CPUs of stream s of `streams` that take `threads` CPUs each: streams lie apart, a core's second hyperthread comes last.
// Empty (pin nothing) when there are not enough CPUs, or when a quota gives the process fewer than it may run on.
std::vector<int> cpus_of_stream(int stream, int streams, int threads);

// How a machine's CPUs are shared out: networks at work at once, each with threads of its own.
struct ParallelSettings {
  int streams = 0;  // 0: as many as `threads` leaves room for
  int threads = 0;  // 0: as the ParallelHint says
};
// The CPUs that each stream (or thread) is pinned to; an empty list: it is not pinned.
using CpuSets = std::vector<std::vector<int>>;
// cpus_of_stream() for each stream; without `pin` empty lists.
CpuSets cpu_sets_of(const ParallelSettings& parallel, bool pin = true);

enum class ParallelHint { throughput, latency };  // one stream per CPU; one stream on all CPUs
// "throughput", "latency"; another name is a UsageError with the known.
ParallelHint parallel_hint_named(const std::string& name);
// Fills what is 0.
ParallelSettings share_cpus(ParallelSettings asked, ParallelHint hint);

}  // namespace cytodet::core
