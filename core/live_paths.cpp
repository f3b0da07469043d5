#include "core/live_paths.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace cytodet::core {
namespace {

// Everything that the handler touches is lock-free and has static storage. A process that has more live paths than kEntries
// leaves the rest behind when it is killed.
constexpr int kEntries = 4096;
std::array<std::atomic<char*>, kEntries> live_entries;
std::array<const char*, kEntries> live;  // of the handler
std::atomic<unsigned> next_entry{0};
std::atomic<int> paths_in_making{0};
std::atomic<bool> ending{false};

constexpr int kEndingSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU, SIGUSR1, SIGUSR2};

void sleep_ms(long ms) {
  const timespec t{ms / 1000, ms % 1000 * 1000000};
  ::nanosleep(&t, nullptr);
}

// Removes what is there of `live`; false: a folder still holds something, perhaps one that is removed in the next pass, or what
// another thread has made meanwhile.
bool remove_live(size_t count) {
  bool gone = true;
  for (size_t i = 0; i < count; ++i)
    if (::unlink(live[i]) != 0 && ::rmdir(live[i]) != 0 && (errno == ENOTEMPTY || errno == EEXIST)) gone = false;
  return gone;
}

// A second signal ends the process at once, as SA_RESETHAND has put the default action back.
extern "C" void remove_live_paths_and_end(int signal) {
  constexpr int kMaxWaitMs = 1000;  // a disk that does not answer does not hold the process
  ending = true;
  for (int waited = 0; paths_in_making.load() > 0 && waited < kMaxWaitMs; ++waited) sleep_ms(1);
  constexpr int kPasses = 5;  // folders in folders, and one for other threads
  size_t count = 0;
  for (std::atomic<char*>& entry : live_entries)
    if (const char* path = entry.exchange(nullptr)) live[count++] = path;
  for (int pass = 0; pass < kPasses && !remove_live(count); ++pass) sleep_ms(1);
  ::raise(signal);
}

}  // namespace

LivePath::LivePath(const std::filesystem::path& path) {
  char* text = ::strdup(path.c_str());
  if (!text) return;
  for (int tried = 0; tried < kEntries; ++tried) {
    const int at = static_cast<int>(next_entry++ % kEntries);
    char* empty = nullptr;
    if (live_entries[static_cast<size_t>(at)].compare_exchange_strong(empty, text)) {
      entry_ = at;
      return;
    }
  }
  std::free(text);
}

LivePath::~LivePath() {
  if (entry_ >= 0) std::free(live_entries[static_cast<size_t>(entry_)].exchange(nullptr));  // null: the handler has it
}

// The handler must not run in this thread, where it would wait for itself.
MakingPath::MakingPath() {
  sigset_t all;
  ::sigemptyset(&all);
  for (int signal : kEndingSignals) ::sigaddset(&all, signal);
  ::pthread_sigmask(SIG_BLOCK, &all, &before_);
  ++paths_in_making;
  if (!ending) return;
  --paths_in_making;
  sleep_ms(1000);  // the process ends meanwhile
  ++paths_in_making;
}

MakingPath::~MakingPath() {
  --paths_in_making;
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void clean_up_on_signals() {
  for (int signal : kEndingSignals) {
    struct sigaction before {};
    if (::sigaction(signal, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) continue;
    struct sigaction action {};
    action.sa_handler = remove_live_paths_and_end;
    action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_NODEFER;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(signal, &action, nullptr);
  }
  ::signal(SIGXFSZ, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
}

}  // namespace cytodet::core
