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

bool keep_slide(const RunFolder& folder, const RunLayout& layout, const Wanted& wanted, ImageResult& s, std::string& why) {
  std::error_code ignored;
  const auto no = [&](const char* reason) {
    why = reason;
    return false;
  };
  if (!fs::exists(folder.boxes(s), ignored)) return no("unfinished");
  try {
    const BoxesReader reader(folder.boxes(s));
    const BoxesHeader& h = reader.header();
    if (h.settings_hash != wanted.settings_hash) return no("with other settings");
    if (h.slide.name != s.name || !is_same_slide(h, s.path)) return no("changed");
    if (!wanted.image_options.empty() && h.image_options != wanted.image_options) return no("with other forms");
    for (const std::string& name : layout.files_of(s.name))
      if (!name.starts_with("masks/") && !fs::exists(folder.path / name, ignored)) return no("with missing files");
    ImageResult done = h.slide;
    done.index = s.index;
    done.path = s.path;
    done.image_id = s.image_id;
    s = std::move(done);
    return true;
  } catch (const Error&) {
    return no("damaged");
  }
}

std::string counted(const std::map<std::string, int>& reasons) {
  std::vector<std::pair<int, std::string>> ranked;
  for (const auto& [reason, count] : reasons) ranked.emplace_back(-count, reason);
  std::sort(ranked.begin(), ranked.end());
  std::string text;
  for (const auto& [count, reason] : ranked) text += (text.empty() ? "" : ", ") + std::to_string(-count) + " " + reason;
  return text;
}

}  // namespace cytodet::pipeline
