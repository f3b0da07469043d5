// What a batch says on stderr while it runs: a bar on a terminal, plain lines every few seconds otherwise, or one JSON object a
// line.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/timing.h"
#include "pipeline/detect/resume.h"
#include "pipeline/results/run_folder.h"

namespace cytodet::pipeline {

struct LogOptions {
  bool json = false;
  bool quiet = false;                            // no progress; errors, warnings and JSON events of slides are still written
  std::function<void(const std::string&)> hear;  // hears errors and warnings, which are then not written; may be empty
};

// Events in JSON, all with "event" first:
//   start     slides, kept (done by an earlier start), not_kept (number by reason, of a run that resumes)
//   progress  slides_done, slides, tiles, tiles_per_s, seconds_left; once a second
//   slide     path, name, state, reason, selection, tiles, of these background_tiles, outside_tiles, silent_tiles, bad_tiles,
//   fallback_tiles; detections;
//             seconds: per stage
//   warning, error   message
//   end       done, failed, skipped, seconds
class RunLog {
 public:
  explicit RunLog(const LogOptions& options);

  // bytes: size of each slide that is run, in order; time left is judged by it.
  // not_kept: why slides are done anew, with resume.
  void start(std::vector<int64_t> bytes, int kept, const std::map<NotKept, int>& not_kept = {});
  void started(size_t slide, int tiles);
  void tile();
  void slide(const ImageResult& s);
  void end(const RunState& s);
  void warning(const std::string& message) { message_of("warning", message); }
  void error(const std::string& message) { message_of("error", message); }

 private:
  void message_of(const char* kind, const std::string& message);
  void progress(bool last);
  void json(const Json& event);

  std::mutex mutex_;
  LogOptions options_;
  bool terminal_, shown_ = false;
  std::vector<int64_t> bytes_;
  double total_bytes_ = 0, bytes_before_ = 0, bytes_current_ = 0;
  int slides_done_ = 0, tiles_current_ = 0, tiles_of_current_ = 0;
  int64_t tiles_ = 0;
  double last_ms_ = 0;
  Stopwatch watch_;
};

}  // namespace cytodet::pipeline
