#include "core/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace cytodet::core {

bool can_redraw(int descriptor) {
  const char* kind = std::getenv("TERM");
  return ::isatty(descriptor) == 1 && kind && *kind && std::string_view(kind) != "dumb" && std::string_view(kind) != "unknown";
}

Progress::Progress(std::string label, int64_t total, std::string unit, bool quiet)
    : label_(std::move(label)), unit_(std::move(unit)), total_(total), quiet_(quiet), terminal_(can_redraw(STDERR_FILENO)) {}

Progress::~Progress() {
  std::lock_guard lock(mutex_);
  if (shown_ || (done_ > 0 && !quiet_)) print(true);
}

void Progress::add(int64_t n) {
  std::lock_guard lock(mutex_);
  done_ += n;
  double now = watch_.ms();
  if (quiet_ || now - last_ms_ < (terminal_ ? 100 : 5000)) return;
  last_ms_ = now;
  print(false);
}

void Progress::print(bool last) {
  double seconds = std::max(watch_.ms() / 1000, 1e-6);
  double rate = static_cast<double>(done_) / seconds;
  char line[256];
  int n;
  if (total_ >= 0) {
    double share = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 1;
    double left = rate > 0 ? static_cast<double>(total_ - done_) / rate : 0;
    char bar[21];
    for (int i = 0; i < 20; ++i) bar[i] = i < static_cast<int>(share * 20) ? '#' : '.';
    bar[20] = 0;
    n = std::snprintf(line, sizeof line, "%s [%s] %lld/%lld %s, %.1f/s, %.0f s left", label_.c_str(), bar,
                      static_cast<long long>(done_), static_cast<long long>(total_), unit_.c_str(), rate, last ? 0 : left);
  } else {
    n = std::snprintf(line, sizeof line, "%s %lld %s, %.1f/s", label_.c_str(), static_cast<long long>(done_), unit_.c_str(),
                      rate);
  }
  (void)n;
  std::fprintf(stderr, terminal_ ? (last ? "\r%s\033[K\n" : "\r%s\033[K") : "%s\n", line);
  shown_ = true;
}

}  // namespace cytodet::core
