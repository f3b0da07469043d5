// Processor time of this program, for tests that hold a limit of time: what else the machine does is not counted.
#pragma once

#include <ctime>

namespace cytodet {

class CpuClock {
 public:
  // Seconds of all threads since the clock was made.
  double seconds() const { return static_cast<double>(std::clock() - start_) / CLOCKS_PER_SEC; }

 private:
  std::clock_t start_ = std::clock();
};

}  // namespace cytodet
