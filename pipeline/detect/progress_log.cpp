#include "pipeline/detect/progress_log.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/progress.h"
#include "core/settings.h"
#include "core/text_width.h"

namespace cytodet::pipeline {

RunLog::RunLog(const LogOptions& options) : options_(options), terminal_(can_redraw(STDERR_FILENO)) {}

void RunLog::json(const Json& event) { std::fputs((json_line(event) + "\n").c_str(), stderr); }

void RunLog::start(std::vector<int64_t> bytes, int kept, const std::map<NotKept, int>& not_kept) {
  const auto is_news = [](const auto& reason) { return reason.first != NotKept::is_new; };
  std::lock_guard lock(mutex_);
  bytes_ = std::move(bytes);
  for (int64_t b : bytes_) total_bytes_ += static_cast<double>(std::max<int64_t>(1, b));
  if (options_.json) {
    Json reasons = Json::object();
    for (const auto& [reason, count] : not_kept) reasons[name_of(reason)] = count;
    json({{"event", "start"}, {"slides", bytes_.size()}, {"kept", kept}, {"not_kept", reasons}});
  } else if (!options_.quiet && (kept > 0 || std::any_of(not_kept.begin(), not_kept.end(), is_news))) {
    const std::string why = counted(not_kept);
    std::fprintf(stderr, "cytodet: %d slides are kept from an earlier start, %zu to do%s\n", kept, bytes_.size(),
                 why.empty() ? "" : (" (" + why + ")").c_str());
  }
}

void RunLog::started(size_t slide, int tiles) {
  std::lock_guard lock(mutex_);
  bytes_before_ += bytes_current_;
  bytes_current_ = static_cast<double>(std::max<int64_t>(1, bytes_.at(slide)));
  tiles_current_ = tiles;
  tiles_of_current_ = 0;
}

void RunLog::tile() {
  std::lock_guard lock(mutex_);
  ++tiles_;
  ++tiles_of_current_;
  const double now = watch_.ms();
  if (options_.quiet || now - last_ms_ < (options_.json ? 1000 : terminal_ ? 100 : 5000)) return;
  last_ms_ = now;
  progress(false);
}

void RunLog::progress(bool last) {
  const double seconds = std::max(watch_.ms() / 1000, 1e-6), rate = static_cast<double>(tiles_) / seconds;
  double done = bytes_before_;
  if (tiles_current_ > 0) done += bytes_current_ * tiles_of_current_ / tiles_current_;
  const double share = last ? 1 : total_bytes_ > 0 ? std::min(1.0, done / total_bytes_) : 0;
  const double left = share > 0 ? seconds * (1 - share) / share : 0;
  if (options_.json) {
    json({{"event", "progress"},
          {"slides_done", slides_done_},
          {"slides", bytes_.size()},
          {"tiles", tiles_},
          {"tiles_per_s", rate},
          {"seconds_left", left}});
    return;
  }
  char bar[21] = {}, line[200];
  for (int i = 0; i < 20; ++i) bar[i] = i < static_cast<int>(share * 20) ? '#' : '.';
  const auto whole = static_cast<long long>(left);
  std::snprintf(line, sizeof line, "detect [%s] %d/%zu slides, %lld tiles, %.1f tiles/s, %lld:%02lld:%02lld left", bar,
                slides_done_, bytes_.size(), static_cast<long long>(tiles_), rate, whole / 3600, whole / 60 % 60, whole % 60);
  std::fprintf(stderr, terminal_ ? (last ? "\r%s\033[K\n" : "\r%s\033[K") : "%s\n", line);
  shown_ = !last;
}

void RunLog::slide(const ImageResult& s) {
  {
    std::lock_guard lock(mutex_);
    ++slides_done_;
    if (options_.json)
      json({{"event", "slide"},
            {"path", s.path},
            {"name", s.name},
            {"state", name_of(s.state)},
            {"reason", s.reason},
            {"selection", s.selection},
            {"tiles", s.tiles},
            {"background_tiles", s.background_tiles},
            {"outside_tiles", s.outside_tiles},
            {"silent_tiles", s.silent_tiles},
            {"bad_tiles", s.bad_tiles},
            {"fallback_tiles", s.fallback_tiles},
            {"detections", s.detection_count},
            {"seconds", write_settings(s.times)}});
  }
  if (s.failed()) error(s.reason);
  if (s.skipped()) warning(s.path + ": skipped: " + s.reason);
  if (!s.mpp_warning.empty()) warning(s.path + ": " + s.mpp_warning);
  if (!s.done()) return;
  for (const std::string& w : s.warnings) warning(s.path + ": " + w);
  if (s.damage.empty()) return;
  warning(s.path + ": " + damage_text(s));
}

void RunLog::message_of(const char* kind, const std::string& message) {
  std::lock_guard lock(mutex_);
  if (options_.hear)
    options_.hear(message);
  else if (options_.json)
    json({{"event", kind}, {"message", message}});
  else
    std::fprintf(stderr, "%scytodet: %s: %s\n", shown_ && terminal_ ? "\r\033[K" : "", kind, printable(message).c_str());
}

void RunLog::end(const RunState& s) {
  std::lock_guard lock(mutex_);
  if (options_.json)
    json({{"event", "end"},
          {"done", s.count(ImageState::done)},
          {"failed", s.count(ImageState::failed)},
          {"skipped", s.count(ImageState::skipped)},
          {"seconds", watch_.ms() / 1000}});
  else if (shown_ || (!options_.quiet && tiles_ > 0))
    progress(true);
}

}  // namespace cytodet::pipeline
