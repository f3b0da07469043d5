#include "tiling/regions/roi_folder.h"

#include <algorithm>

#include "core/error.h"
#include "core/path_match.h"
#include "core/unicode.h"
#include "tiling/regions/region_file.h"

namespace cytodet::tiling {
namespace {

// ".ome.tif" of "S1.ome.tiff": what is cut from the name, with one spelling per form.
std::string image_extension(std::string_view name) {
  std::string extension = name_key(name.substr(without_image_extension(name).size()));
  for (const auto& [from, to] : {std::pair<std::string_view, std::string_view>{".tiff", ".tif"}, {".jpeg", ".jpg"}})
    if (const size_t at = extension.find(from); at != extension.npos) extension.replace(at, from.size(), to);
  return extension;
}

// False for formats that are known but not read; their files count only if there is no other.
bool is_read(std::string_view extension) { return extension != ".ndpa" && extension != ".qpdata" && extension != ".roi"; }

bool fits(std::string_view of_file, std::string_view of_slide) {
  const std::string file = image_extension(of_file), slide = image_extension(of_slide);
  return slide.ends_with(file) || slide.starts_with(file + ".");
}

}  // namespace

RoiFolder::RoiFolder(std::string where, const std::vector<std::string>& files) : where_(std::move(where)) {
  for (const std::string& file : files) {
    const std::string name(last_component(file)), folded = name_key(name);
    if (name.starts_with('.')) continue;
    std::string_view longest;
    for (const std::string_view extension : region_extensions())
      if (folded.ends_with(extension) && extension.size() > longest.size()) longest = extension;
    if (longest.empty() || longest.size() >= name.size()) continue;
    const std::string image = name.substr(0, name.size() - longest.size());
    by_stem_[name_key(without_image_extension(image))].push_back({file, image, is_read(longest)});
  }
  for (auto& [stem, of_stem] : by_stem_)
    std::sort(of_stem.begin(), of_stem.end(), [](const File& a, const File& b) { return a.path < b.path; });
}

std::string RoiFolder::of(const std::filesystem::path& slide) const {
  const std::string text = slide.string(), name(last_component(text)), stem = without_image_extension(name);
  const auto of_stem = by_stem_.find(name_key(stem));
  if (of_stem == by_stem_.end()) return {};
  std::vector<const File*> candidates, exact;
  for (const File& f : of_stem->second) {
    if (!fits(f.image, name)) continue;
    candidates.push_back(&f);
    if (decomposed(without_image_extension(f.image)) == decomposed(stem)) exact.push_back(&f);
  }
  if (!exact.empty()) candidates = std::move(exact);
  if (std::any_of(candidates.begin(), candidates.end(), [](const File* f) { return f->read; }))
    std::erase_if(candidates, [](const File* f) { return !f->read; });
  if (candidates.empty()) return {};
  if (candidates.size() > 1) {
    std::string list;
    for (const File* f : candidates) list += (list.empty() ? "" : ", ") + std::string(last_component(f->path));
    throw Error(where_, "several files may hold the regions of " + text + ": " + list, "leave only one of them there");
  }
  return candidates[0]->path;
}

}  // namespace cytodet::tiling
