// Progress on stderr: a bar with rate and time left on a terminal, a plain line every few seconds otherwise.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "core/timing.h"

namespace cytodet::core {

// Whether lines on this descriptor can be written over: a terminal, and none of those that know no control sequences
// (TERM=dumb, as in editors, or not set).
bool can_redraw(int descriptor);

class Progress {
 public:
  // total < 0: unknown. `unit` is plural ("tiles", "images"). quiet: prints nothing.
  Progress(std::string label, int64_t total, std::string unit, bool quiet = false);
  ~Progress();              // finishes the line
  void add(int64_t n = 1);  // any thread

 private:
  void print(bool last);
  std::mutex mutex_;
  std::string label_, unit_;
  int64_t total_, done_ = 0;
  bool quiet_, terminal_, shown_ = false;
  double last_ms_ = 0;
  Stopwatch watch_;
};

}  // namespace cytodet::core
