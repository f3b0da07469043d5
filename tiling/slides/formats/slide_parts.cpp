#include "tiling/slides/formats/slide_parts.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <sstream>
#include <vector>

#include "core/ascii.h"
#include "core/error.h"
#include "core/file.h"
#include "tiling/slides/formats/known_formats.h"

namespace cytodet::tiling {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxIniBytes = int64_t{1} << 20;  // OpenSlide's own limit
constexpr size_t kMaxParts = 4096;                  // files that one slide may name
constexpr size_t kMaxListed = 3;                    // in a message
constexpr int kMaxEntries = 100'000;                // of a folder that is looked through

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// "[SECTION]" and "key = value" lines: section and key, in lower case, to value.
using Ini = std::multimap<std::pair<std::string, std::string>, std::string>;
Ini parse_ini(std::string text) {
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  Ini ini;
  std::istringstream lines(text);
  std::string section;
  for (std::string line; std::getline(lines, line) && ini.size() < (size_t{1} << 17);) {
    line = trimmed(line);
    if (line.starts_with('[')) {
      section = lower_ascii(line.substr(1, line.find(']') - 1));
    } else if (const size_t eq = line.find('='); eq != std::string::npos && !line.starts_with('#') && !line.starts_with(';')) {
      ini.emplace(std::pair(section, lower_ascii(trimmed(line.substr(0, eq)))), trimmed(line.substr(eq + 1)));
    }
  }
  return ini;
}

std::string value_of(const Ini& ini, const std::string& section, const std::string& key) {
  const auto found = ini.find({section, key});
  return found == ini.end() ? "" : found->second;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}
bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// The entry of a folder that has the name but for its case; empty: none.
std::string in_other_case(const fs::path& folder, const std::string& name) {
  std::error_code error;
  int looked = 0;
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, error)) {
    const std::string other = entry.path().filename().string();
    if (other != name && lower_ascii(other) == lower_ascii(name)) return other;
    if (++looked == kMaxEntries) break;
  }
  return {};
}

// "Index.dat (there is INDEX.DAT: rename it)"
std::string missing_name(const fs::path& folder, const std::string& name) {
  const std::string other = in_other_case(folder, name);
  return other.empty() ? name : name + " (there is " + other + ": rename it)";
}

// The files that a slide names and that are missing, in words; empty: all are there.
std::string missing_of(const fs::path& folder, const std::vector<std::string>& names) {
  std::vector<std::string> missing;
  for (const std::string& name : names)
    if (!is_there(folder / name)) missing.push_back(name);
  std::string text;
  for (size_t i = 0; i < std::min(missing.size(), kMaxListed); ++i)
    text += (i ? ", " : "") + missing_name(folder, missing[i].substr(0, 80));
  if (missing.size() > kMaxListed) text += " and " + std::to_string(missing.size() - kMaxListed) + " more files";
  return text;
}

// The index and data files that Slidedat.ini names, or those that every slide has.
std::vector<std::string> mirax_files(const Ini& ini) {
  const std::string index = value_of(ini, "hierarchical", "indexfile");
  std::vector<std::string> names{index.empty() ? "Index.dat" : index};
  for (const auto& [key, value] : ini)
    if (key.first == "datafile" && key.second.starts_with("file_") && key.second != "file_count" && !value.empty() &&
        names.size() < kMaxParts)
      names.push_back(value);
  if (names.size() == 1) names.push_back("Data0000.dat");
  return names;
}

[[noreturn]] void lacks(const std::string& what, const std::string& advice) {
  throw Error("", "is a MIRAX slide whose " + what, advice);
}

// Images that a VMS or VMU names.
std::vector<std::string> named_images(const fs::path& file) {
  std::vector<std::string> names;
  for (const auto& [key, value] : parse_ini(read_file(file, kMaxIniBytes))) {
    if (key.first != "virtual microscope specimen" && key.first != "uncompressed virtual microscope specimen") continue;
    const bool is_file = key.second.starts_with("imagefile") || key.second == "mapfile" || key.second == "macroimage";
    if (is_file && !value.empty() && names.size() < kMaxParts) names.push_back(value);
  }
  return names;
}

// One of the image files of an Olympus slide's folder; empty: it has none.
fs::path ets_file(const fs::path& folder) {
  std::error_code error;
  int looked = 0;
  std::vector<fs::path> found;
  for (const auto& stack : fs::directory_iterator(folder, error)) {
    if (++looked > kMaxEntries) break;
    if (!is_folder(stack.path())) continue;
    std::error_code inner;
    for (const auto& entry : fs::directory_iterator(stack.path(), inner))
      if (lower_ascii(entry.path().extension().string()) == ".ets") found.push_back(entry.path().lexically_relative(folder));
  }
  return found.empty() ? fs::path() : *std::min_element(found.begin(), found.end());
}

}  // namespace

void check_mirax_parts(const fs::path& file) {
  const fs::path folder = file.parent_path() / file.stem();
  const std::string name = "folder " + folder.filename().string(),
                    copy = "copy the slide with its whole folder" +
                           (file.extension() == ".mrxs" ? "" : ", and call it " + file.stem().string() + ".mrxs, in lower case");
  if (!is_folder(folder)) {
    const std::string other = in_other_case(folder.parent_path(), folder.filename().string());
    if (!other.empty() && is_folder(folder.parent_path() / other))
      lacks(name + " is called " + other + " here", "give the file and its folder the same name, letter case included");
    lacks(name + " beside it is missing; the .mrxs file itself holds but a preview", copy);
  }
  if (!is_there(folder / "Slidedat.ini")) lacks(name + " lacks " + missing_name(folder, "Slidedat.ini"), copy);
  const Ini ini = parse_ini(read_file(folder / "Slidedat.ini", kMaxIniBytes));
  if (const std::string missing = missing_of(folder, mirax_files(ini)); !missing.empty()) lacks(name + " lacks " + missing, copy);
  if (file.extension() != ".mrxs")
    throw Error("", "is a MIRAX slide called " + file.extension().string() + ", and OpenSlide knows .mrxs in lower case only",
                "rename it to " + file.stem().string() + ".mrxs");
}

void check_hamamatsu_parts(const fs::path& file) {
  const std::vector<std::string> names = named_images(file);
  if (names.empty()) throw Error("", "is called as a Hamamatsu slide and names no image files", "restore the file");
  const fs::path folder = file.parent_path();
  if (const std::string missing = missing_of(folder, names); !missing.empty())
    throw Error("",
                "is a Hamamatsu slide whose folder " + (folder.empty() ? std::string(".") : folder.filename().string()) +
                    " lacks " + missing,
                "copy the slide with all image files that it names");
}

std::vector<std::string> hamamatsu_parts(const fs::path& file) {
  const std::string extension = lower_ascii(file.extension().string());
  if (extension != ".vms" && extension != ".vmu") return {};
  try {
    return named_images(file);
  } catch (const Error&) {
    return {};
  }
}

void check_olympus_parts(const fs::path& file) {
  const bool called = lower_ascii(file.extension().string()) == ".vsi";
  const fs::path folder = file.parent_path() / ("_" + file.stem().string() + "_");
  const fs::path ets = is_folder(folder) ? ets_file(folder) : fs::path();
  // A TIFF beside X.vsi is what somebody exported from it.
  if (!called && (ets.empty() || is_there(file.parent_path() / (file.stem().string() + ".vsi")))) return;
  const std::string name = folder.filename().string(), fix = "convert the slide to a tiled TIFF with QuPath or Bio-Formats";
  if (!ets.empty())
    throw Error("",
                "is an Olympus slide (VSI), which is not read: its pixels are in " + (fs::path(name) / ets).string() +
                    ", the file itself holds an overview",
                fix);
  throw Error("",
              "is an Olympus slide (VSI), which is not read: its pixels belong in the folder " + name + " beside it, which " +
                  (is_folder(folder) ? "holds no .ets file" : "is missing") + "; the file itself holds an overview",
              fix);
}

}  // namespace cytodet::tiling
