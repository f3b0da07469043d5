// The threads that work on one network together; with parallel.h, all that knows TBB.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/namespaces.h"

namespace cytodet::core {

// A runner's threads: the one that calls run(), and others that join it for as long as it has work to share, on the CPUs that it
// may use itself. A thread that comes late takes less of the work; nobody waits for one that has taken none.
class ThreadTeam {
 public:
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  // work(), inside which for_each_chunk and for_each_task share theirs.
  void run(const std::function<void()>& work);

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;  // null: one thread
};

// body(i, thread) for i in [0, n), shared among the threads of the team. body must not throw.
void for_each_task(int threads, int64_t n, const std::function<void(int64_t i, int thread)>& body);
// body(begin, end, thread) over runs of [0, n), some for each thread, none shorter than `min` unless there is but one.
void for_each_chunk(int threads, int64_t n, int64_t min, const std::function<void(int64_t begin, int64_t end, int thread)>& body);

}  // namespace cytodet::core
