// Stopping a computation from outside: who starts one on this thread says when it is to end, and who computes asks between steps.
#pragma once

#include <functional>
#include <utility>

#include "core/namespaces.h"

namespace cytodet::core {

struct Stopped {};  // thrown by check_stop(); no Error, so that none who handles those takes it for one

namespace detail {
inline thread_local const std::function<bool()>* stop_of_thread = nullptr;
}

// While it lives, check_stop() on this thread throws Stopped once `stop` returns true.
class StopScope {
 public:
  explicit StopScope(std::function<bool()> stop) : stop_(std::move(stop)), before_(detail::stop_of_thread) {
    detail::stop_of_thread = &stop_;
  }
  ~StopScope() { detail::stop_of_thread = before_; }
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;

 private:
  std::function<bool()> stop_;
  const std::function<bool()>* before_;
};

inline void check_stop() {
  if (detail::stop_of_thread && (*detail::stop_of_thread)()) throw Stopped();
}

}  // namespace cytodet::core
