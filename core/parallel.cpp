#include "core/parallel.h"

#include <tbb/concurrent_queue.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "core/cpu.h"
#include "core/error.h"

namespace cytodet {

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

void run_pipeline_untyped(int workers, int in_flight, const PipelineStages& stages) {
  workers = std::max(1, workers);
  in_flight = std::max(1, in_flight);
  tbb::concurrent_bounded_queue<int> idle;
  for (int i = 0; i < workers; ++i) idle.push(i);

  using Item = std::shared_ptr<void>;
  // TBB would otherwise stop at one thread per core, and say so on stderr.
  tbb::global_control allowed(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(workers) + 1);
  tbb::task_arena arena(workers + 1);
  arena.execute([&] {
    tbb::parallel_pipeline(
        static_cast<size_t>(in_flight),
        tbb::make_filter<void, Item>(tbb::filter_mode::serial_in_order, [&](tbb::flow_control& control) -> Item {
          Item item = stages.produce();
          if (!item) control.stop();
          return item;
        }) & tbb::make_filter<Item, Item>(tbb::filter_mode::parallel, [&](Item item) {
          int worker = 0;
          idle.pop(worker);
          struct Return {
            tbb::concurrent_bounded_queue<int>& idle;
            int worker;
            ~Return() { idle.push(worker); }
          } give_back{idle, worker};
          stages.work(item.get(), worker);
          return item;
        }) & tbb::make_filter<Item, void>(tbb::filter_mode::serial_in_order, [&](const Item& item) {
          stages.consume(item.get());
        }));
  });
}

Pinned::Pinned(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  std::vector<int> before = allowed_cpus();
  if (set_allowed_cpus(cpus)) before_ = std::move(before);
}

Pinned::~Pinned() {
  if (held()) set_allowed_cpus(before_);
}

std::vector<int> cpus_of_stream(int stream, int streams, int threads) {
  static const std::vector<int> cpus = allowed_cpus();  // once: a pinned thread may ask as well
  size_t wanted = static_cast<size_t>(streams) * static_cast<size_t>(threads);
  static const bool quota = usable_cpus() < static_cast<int>(cpus.size());
  if (quota || wanted > cpus.size()) return {};
  auto first = cpus.begin() + std::ptrdiff_t{stream} * threads;
  return {first, first + threads};
}

Sharing share_cpus(Sharing asked, const std::string& hint) {
  if (hint != "latency" && hint != "throughput")
    throw UsageError("--hint", "must be latency or throughput, not \"" + hint + "\"");
  Sharing given = asked;
  const bool latency = hint == "latency";
  if (given.streams <= 0 && latency) given.streams = 1;
  if (given.threads <= 0) given.threads = latency ? std::max(1, usable_cpus() / given.streams) : 1;
  if (given.streams <= 0) given.streams = std::max(1, usable_cpus() / given.threads);
  return given;
}

}  // namespace cytodet
