#include "pipeline/detect/stop_signal.h"

#include <signal.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace cytodet::pipeline {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
std::atomic<int> noted{0};
struct sigaction earlier[3];
static_assert(std::atomic<int>::is_always_lock_free);

void note(int signal) {
  int none = 0;
  if (noted.compare_exchange_strong(none, signal)) return;
  for (int i = 0; i < 3; ++i)
    if (kSignals[i] == signal) ::sigaction(signal, &earlier[i], nullptr);
  ::raise(signal);
}

}  // namespace

StopSignals::StopSignals() {
  noted = 0;
  for (int i = 0; i < 3; ++i) {
    ::sigaction(kSignals[i], nullptr, &earlier[i]);
    if (earlier[i].sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = note;
    action.sa_flags = SA_RESTART;
    ::sigaction(kSignals[i], &action, nullptr);
  }
}

StopSignals::~StopSignals() {
  for (int i = 0; i < 3; ++i) ::sigaction(kSignals[i], &earlier[i], nullptr);
}

int StopSignals::caught() const { return noted; }

void end_by(int signal) {
  std::fflush(nullptr);
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
  ::raise(signal);
  std::_Exit(128 + signal);
}

}  // namespace cytodet::pipeline
