// Ctrl-C, SIGTERM and SIGHUP as a wish to stop: what is at work is brought to an end, and then the process ends by the signal.
#pragma once

namespace cytodet::pipeline {

// While it lives, the first signal is only noted; a second one does what it did before. Signals that were ignored (nohup) stay
// so. One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  int caught() const;  // 0: none
};

// Ends the process by the signal, so that whoever started it sees that; buffered output is written first.
void end_by(int signal);

}  // namespace cytodet::pipeline
