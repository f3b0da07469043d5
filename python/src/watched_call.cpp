#include "python/src/watched_call.h"

#include <chrono>

namespace cytodet::python {
namespace {

constexpr auto kLookForSignals = std::chrono::milliseconds(100);

bool on_main_thread() {
  const nb::module_ threading = nb::module_::import_("threading");
  return threading.attr("get_ident")().equal(threading.attr("main_thread")().attr("ident"));
}

}  // namespace

WatchedCall::WatchedCall(nb::object progress) : progress_(std::move(progress)) {
  callbacks_.struct_size = sizeof callbacks_;
  callbacks_.user = this;
  callbacks_.stop = on_stop;
  callbacks_.keep_part = 1;
  if (!progress_.is_none()) callbacks_.progress = on_progress;
}

void WatchedCall::rethrow() const {
  if (!stopped_by_.is_valid()) return;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(stopped_by_.ptr())), stopped_by_.ptr());
  throw nb::python_error();
}

void WatchedCall::keep_error() {
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  nb::object first = nb::steal(value);
  if (!stopped_by_.is_valid()) stopped_by_ = std::move(first);
  stop_ = true;
}

void WatchedCall::run_watched(const std::function<void()>& body) {
  const bool look = on_main_thread();
  const nb::gil_scoped_release unlocked;
  if (!look) return body();
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::exception_ptr thrown;
  std::thread worker([&] {
    try {
      body();
    } catch (...) {
      thrown = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    done = true;
    changed.notify_one();
  });
  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, kLookForSignals, [&] { return done; })) {
    lock.unlock();
    {
      const nb::gil_scoped_acquire locked;
      if (PyErr_CheckSignals() != 0) keep_error();
    }
    lock.lock();
  }
  lock.unlock();
  worker.join();
  if (thrown) std::rethrow_exception(thrown);
}

void WatchedCall::on_progress(void* user, const cytodet_progress* p) {
  auto& self = *static_cast<WatchedCall*>(user);
  if (self.stop_) return;
  const nb::gil_scoped_acquire locked;
  try {
    self.progress_(p->input, p->inputs_done, p->inputs, p->tiles_done, p->tiles);
  } catch (nb::python_error& e) {
    e.restore();
    self.keep_error();
  }
}

int WatchedCall::on_stop(void* user) { return static_cast<WatchedCall*>(user)->stop_ ? 1 : 0; }

}  // namespace cytodet::python
