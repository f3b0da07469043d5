#include "pipeline/detect/resume.h"

#include <algorithm>
#include <cstdlib>

#include "core/error.h"
#include "pipeline/inputs/slide_files.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kShareTick = 100, kFatTick = 2000000000;  // nanoseconds: what SMB shares and FAT keep of a time

bool is_same_slide(const BoxesHeader& h, const std::string& path) {
  std::error_code unknown;
  const fs::path then = h.slide.path;
  const bool same_name = then.filename() == fs::path(path).filename();
  if (same_name && !fs::exists(path, unknown)) return true;  // a share that is away takes no results with it
  const SlideIdentity now = slide_stamp(path);
  if (h.slide_bytes != now.bytes) return false;
  const int64_t apart = std::llabs(h.slide_time_ns - now.time_ns);
  if (h.slide_hash.empty()) return same_name && apart <= kFatTick;
  if (h.slide.path == path && apart < kShareTick && companions_of(path).empty()) return true;
  return slide_identity(path).hash == h.slide_hash;
}

}  // namespace

const char* name_of(NotKept reason) {
  switch (reason) {
    case NotKept::is_new:
      return "new";
    case NotKept::unfinished:
      return "unfinished";
    case NotKept::other_settings:
      return "with other settings";
    case NotKept::changed:
      return "changed";
    case NotKept::other_outputs:
      return "with other outputs";
    case NotKept::missing_files:
      return "with missing files";
    case NotKept::damaged:
      return "damaged";
  }
  return "";
}

std::optional<NotKept> keep_slide(const RunFolder& folder, const RunLayout& layout, const Wanted& wanted, ImageResult& s) {
  std::error_code ignored;
  if (!fs::exists(folder.boxes(s), ignored)) return NotKept::unfinished;
  try {
    const BoxesReader reader(folder.boxes(s));
    const BoxesHeader& h = reader.header();
    if (h.settings_hash != wanted.settings_hash) return NotKept::other_settings;
    if (h.slide.name != s.name || !is_same_slide(h, s.path)) return NotKept::changed;
    if (!wanted.image_options.empty() && h.image_options != wanted.image_options) return NotKept::other_outputs;
    for (const std::string& name : layout.files_of(s.name))
      if (!name.starts_with("masks/") && !fs::exists(folder.path / name, ignored)) return NotKept::missing_files;
    ImageResult done = h.slide;
    done.index = s.index;
    done.path = s.path;
    done.image_id = s.image_id;
    s = std::move(done);
    return std::nullopt;
  } catch (const Error&) {
    return NotKept::damaged;
  }
}

std::string counted(const std::map<NotKept, int>& reasons) {
  std::vector<std::pair<int, std::string>> ranked;
  for (const auto& [reason, count] : reasons) ranked.emplace_back(-count, name_of(reason));
  std::sort(ranked.begin(), ranked.end());
  std::string text;
  for (const auto& [count, reason] : ranked) text += (text.empty() ? "" : ", ") + std::to_string(-count) + " " + reason;
  return text;
}

}  // namespace cytodet::pipeline
