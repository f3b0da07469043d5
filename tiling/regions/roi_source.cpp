#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/gzip.h"
#include "core/zip.h"
#include "tiling/regions/region_file.h"
#include "tiling/regions/roi.h"

namespace cytodet::tiling {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxBytes = int64_t{256} << 20;  // of a file, and of what it unpacks to
constexpr const char* kForms = "see docs/slides.md for the forms of regions";

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& n : names) text += (text.empty() ? "" : ", ") + n;
  return text;
}

// "1 line, 2 points", of plurals.
std::string counted(const std::map<std::string, int>& things) {
  std::string text;
  for (const auto& [what, count] : things)
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " +
            (count == 1 && what.ends_with('s') ? what.substr(0, what.size() - 1) : what);
  return text;
}

// What becomes of the regions of a file.
enum class Use { look, take_off, none };
Use use_of(const Region& r, const RegionFile& file, const RoiChoice& choice) {
  if (is_listed(choice.ignored, r.label)) return Use::take_off;
  const bool meant = !choice.classes.empty() ? is_listed(choice.classes, r.label) : !file.roi_only || same_label(r.label, "roi");
  if (!meant || (choice.classes.empty() && is_ignored_label(r.label)))
    return is_ignored_label(r.label) ? Use::take_off : Use::none;
  return r.negative ? Use::take_off : Use::look;
}

// The regions of one image, and what is to be said of those that are not looked at.
struct Chosen {
  Roi roi;
  std::set<std::string> looked, taken_off, unused;

  void add(const Region& r, Use use) {
    const std::string label = r.label.empty() ? "(no class)" : r.label;
    if (use == Use::look) roi.add(r.rings);
    if (use == Use::take_off) roi.subtract(r.rings);
    (use == Use::look ? looked : use == Use::none ? unused : taken_off).insert(r.negative ? "negative regions" : label);
  }

  void write_note(const RegionFile& file, const RoiChoice& choice, const std::string& where) {
    std::string note;
    const auto say = [&](const std::string& what) { note += (note.empty() ? "" : "; ") + what; };
    if (!taken_off.empty()) say("taken off: " + joined(taken_off));
    if (looked.size() > 1 && choice.classes.empty())
      say("looked at are regions of all classes: " + joined(looked) + " (--roi-class chooses)");
    if (!file.no_area.empty()) say("without an area, or no regions: " + counted(file.no_area));
    if (!note.empty()) roi.note = where + ": " + note;
  }
};

[[noreturn]] void nothing_left(const Chosen& c, const RegionFile& file, const RoiChoice& choice, const std::string& where) {
  std::set<std::string> others = c.unused;
  others.insert(file.other_labels.begin(), file.other_labels.end());
  others.insert(c.taken_off.begin(), c.taken_off.end());
  if (!choice.classes.empty())
    throw Error(where, "holds no region of class " + joined({choice.classes.begin(), choice.classes.end()}),
                others.empty() ? "its regions have no class" : "it has " + joined(others) + "; see --roi-class");
  if (!c.taken_off.empty())
    throw Error(where, "holds only regions that are taken off: " + joined(c.taken_off),
                "draw a region around what is to be looked at, or name a class with --roi-class");
  if (file.by_image) throw Error(where, "holds no annotation of a category named roi", kForms);
  if (!file.no_area.empty()) throw Error(where, "holds no region of interest, only " + counted(file.no_area), kForms);
  throw Error(where, "holds no region of interest", kForms);
}

// By the name of their image; "" where a file is for every slide.
std::map<std::string, Roi> choose(const NamedRegions& named, const RoiChoice& choice, const std::string& where) {
  std::map<std::string, Chosen> images;
  for (const Region& r : named.file.regions) images[r.image].add(r, use_of(r, named.file, choice));
  std::map<std::string, Roi> rois;
  Chosen nothing;
  for (auto& [image, chosen] : images) {
    if (chosen.roi.empty()) {
      nothing.taken_off.insert(chosen.taken_off.begin(), chosen.taken_off.end());
      nothing.unused.insert(chosen.unused.begin(), chosen.unused.end());
      continue;
    }
    chosen.write_note(named.file, choice, where);
    if (named.format->frame == RegionFrame::viewer) chosen.roi.frame = RoiFrame::viewer;
    rois[image] = std::move(chosen.roi);
  }
  if (rois.empty()) nothing_left(nothing, named.file, choice, where);
  return rois;
}

std::map<std::string, Roi> regions_in(std::string bytes, const std::string& where, const RoiChoice& choice) {
  if (is_gzip(bytes)) bytes = gunzip(bytes, where, kMaxBytes);
  return choose(parse_regions(bytes, where, choice), choice, where);
}

// The entries of an archive that may hold regions: not what macOS adds, not folders.
std::vector<ZipEntry> region_entries(const ZipArchive& archive) {
  std::vector<ZipEntry> found;
  for (const ZipEntry& e : archive.entries()) {
    const std::string name = fs::path(e.name).filename().string();
    if (!name.empty() && name[0] != '.' && !e.name.starts_with("__MACOSX/")) found.push_back(e);
  }
  return found;
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) files.push_back(entry.path().string());
  if (error) throw Error(folder.string(), "cannot list the folder: " + error.message());
  return files;
}

Roi only_one(std::map<std::string, Roi> regions, const std::string& where) {
  const auto all = regions.find("");
  if (all == regions.end()) throw Error(where, "names the images of its regions", "name it itself with --roi, not its folder");
  return std::move(all->second);
}

// A file of one slide, which may be an archive of one file.
Roi regions_of_file(std::string bytes, const std::string& where, const RoiChoice& choice) {
  if (!is_zip(bytes)) return only_one(regions_in(std::move(bytes), where, choice), where);
  const ZipArchive archive(std::move(bytes), where);
  const std::vector<ZipEntry> entries = region_entries(archive);
  if (entries.size() != 1)
    throw Error(where, "holds " + std::to_string(entries.size()) + " files, where one is wanted for this slide", "unpack it");
  return only_one(regions_in(archive.read(entries[0], kMaxBytes), where + ": " + entries[0].name, choice), where);
}

}  // namespace

RoiSource::RoiSource(const fs::path& path, RoiChoice choice) : path_(path), choice_(std::move(choice)) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    folder_ = RoiFolder(path.string(), files_in(path));
    return;
  }
  std::string bytes = read_file(path, kMaxBytes);
  if (is_zip(bytes)) {
    archive_ = std::make_shared<const ZipArchive>(std::move(bytes), path.string());
    const std::vector<ZipEntry> entries = region_entries(*archive_);
    if (entries.empty()) throw Error(path.string(), "is an archive that holds no files", kForms);
    std::vector<std::string> names;
    for (const ZipEntry& e : entries) names.push_back(e.name);
    folder_ = RoiFolder(path.string(), names);
    if (entries.size() > 1) return;
    bytes = archive_->read(entries[0], kMaxBytes);
    archive_.reset();
  }
  std::map<std::string, Roi> by_name = regions_in(std::move(bytes), path.string(), choice_);
  if (auto all = by_name.find(""); all != by_name.end()) {
    common_ = std::move(all->second);
    return;
  }
  std::vector<std::string> names;
  for (auto& [name, roi] : by_name) {
    names.push_back(name);
    of_image_.push_back(std::move(roi));
  }
  images_ = std::make_shared<const PathIndex>(std::move(names));
}

const Roi* RoiSource::of_image(const std::string& slide) const {
  const PathIndex::Match match = images_->find(absolute_path(slide));
  const auto name = [&](size_t i) { return images_->names()[static_cast<size_t>(match.names[i])]; };
  if (match.names.size() > 1)
    throw Error(path_.string(),
                slide + " may be any of its images " + name(0) + ", " + name(1) + (match.names.size() > 2 ? ", ..." : ""),
                "name the slide with the folders that file_name has");
  return match.name() < 0 ? nullptr : &of_image_[static_cast<size_t>(match.name())];
}

std::vector<std::string> RoiSource::check(const std::vector<std::string>& slides) const {
  return images_ ? assign_paths(*images_, slides, path_.string(), "image").warnings : std::vector<std::string>{};
}

std::optional<Roi> RoiSource::of(const fs::path& slide) const {
  if (common_) return common_;
  if (images_) {
    const Roi* roi = of_image(slide.string());
    return roi ? std::optional(*roi) : std::nullopt;
  }
  const std::string file = folder_.of(slide);
  if (file.empty()) return std::nullopt;
  if (!archive_) return regions_of_file(read_file(file, kMaxBytes), file, choice_);
  for (const ZipEntry& e : archive_->entries())
    if (e.name == file) {
      const std::string where = path_.string() + ": " + e.name;
      return only_one(regions_in(archive_->read(e, kMaxBytes), where, choice_), where);
    }
  return std::nullopt;
}

}  // namespace cytodet::tiling
