// A call that takes long: other Python threads run meanwhile, progress is told, and a signal or an exception of the callback
// stops it soon.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "python/src/binding.h"

namespace cytodet::python {

class WatchedCall {
 public:
  // progress(input, inputs_done, inputs, tiles_done, tiles), or None. Construct and destroy with Python's lock held.
  explicit WatchedCall(nb::object progress);
  WatchedCall(const WatchedCall&) = delete;
  WatchedCall& operator=(const WatchedCall&) = delete;

  // f(callbacks, &error), whose error is thrown as cytodet::Error unless the call was stopped; then what f returned, perhaps
  // null. On Python's main thread, f runs on a thread of its own while this one looks for signals, ten times a second.
  template <class F>
  auto run(F f) {
    using Value = decltype(f(static_cast<const cytodet_callbacks*>(nullptr), static_cast<cytodet_error**>(nullptr)));
    Value value{};
    cytodet_error* error = nullptr;
    run_watched([&] { value = f(&callbacks_, &error); });
    const detail::Handle<cytodet_error, cytodet_error_free> owned(error);
    if (error && !stopped_by_.is_valid()) throw detail::to_error(error);
    return value;
  }

  // What stopped the call: KeyboardInterrupt, what another signal's handler or the progress callback has thrown. None: nothing
  // did.
  nb::object stopped_by() const { return stopped_by_.is_valid() ? stopped_by_ : nb::none(); }
  // Throws it.
  void rethrow() const;

 private:
  void run_watched(const std::function<void()>& body);
  void keep_error();  // that Python has set
  static void on_progress(void* user, const cytodet_progress* p);
  static int on_stop(void* user);

  cytodet_callbacks callbacks_{};
  nb::object progress_;
  std::atomic<bool> stop_{false};
  nb::object stopped_by_;  // touched with Python's lock held; not valid: nothing
};

}  // namespace cytodet::python
