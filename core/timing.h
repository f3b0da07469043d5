// Stopwatch and order statistics.
#pragma once

#include <chrono>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

class Stopwatch {
 public:
  double ms() const { return std::chrono::duration<double, std::milli>(Clock::now() - start_).count(); }
  void restart() { start_ = Clock::now(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

// Value at `percent` (0..100) of the sorted values, linear between neighbours; 0 when empty.
double percentile(std::vector<double> values, double percent);
inline double median(std::vector<double> values) { return percentile(std::move(values), 50); }

}  // namespace cytodet::core
