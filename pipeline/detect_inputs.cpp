// expand_inputs: what a user names -> files.
#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "pipeline/detect.h"
#include "tiling/formats/known_formats.h"
#include "tiling/formats/slide_parts.h"

namespace cytodet {
namespace {

namespace fs = std::filesystem;

// What iCloud leaves of a file that is not on this disk, ".S1.svs.icloud": hidden, but meant.
bool is_placeholder(const std::string& name) { return name.size() > 8 && name.ends_with(".icloud"); }

// Pictures that a slide of the folder names as its parts are no pictures of their own.
void leave_out_parts(std::vector<std::string>& files) {
  std::set<fs::path> parts;
  for (const std::string& file : files)
    for (const std::string& name : hamamatsu_parts(file)) parts.insert((fs::path(file).parent_path() / name).lexically_normal());
  if (!parts.empty())
    std::erase_if(files, [&](const std::string& file) { return parts.contains(fs::path(file).lexically_normal()); });
}

// Broken links, pipes and what cannot be looked at are taken too: opening them says what is wrong.
std::vector<std::string> files_in(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    std::error_code unknown;
    const std::string name = entry.path().filename().string();
    if (name[0] == '.' && !is_placeholder(name)) continue;
    // A folder that is called as a slide is a mistake that must be named; other folders in a folder are not looked at.
    if (!entry.is_directory(unknown) || called_as_slide(entry.path())) found.push_back(entry.path().string());
  }
  if (error) throw Error(folder, "cannot list the folder: " + error.message());
  leave_out_parts(found);
  if (found.empty()) throw Error(folder, "the folder holds no files");
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> matches(const std::string& pattern) {
  glob_t found{};
  const int code = ::glob(pattern.c_str(), GLOB_NOSORT | GLOB_MARK, nullptr, &found);
  std::vector<std::string> files;
  for (size_t i = 0; i < found.gl_pathc; ++i)
    if (std::string path = found.gl_pathv[i]; !path.ends_with('/'))
      files.push_back(path);
    else if (path.pop_back(); called_as_slide(path))
      files.push_back(path);
  ::globfree(&found);
  if (code != 0 && code != GLOB_NOMATCH) throw Error(pattern, "cannot be searched for files", "check the permissions");
  if (files.empty()) throw Error(pattern, "matches no file", "check the pattern");
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> lines_of(const std::string& list) {
  std::istringstream text(read_file(list, int64_t{256} << 20));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.pop_back();
    line.erase(0, line.find_first_not_of(" \t"));
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '@') throw Error(list, "names another list, " + line, "name slides, folders and patterns in it");
    lines.push_back(fs::path(line).is_absolute() ? line : (fs::path(list).parent_path() / line).string());
  }
  if (lines.empty()) throw Error(list, "names no slides", "write one per line");
  return lines;
}

std::vector<std::string> expanded(const std::string& input) {
  std::error_code ignored;
  if (fs::is_directory(input, ignored)) return is_slide_folder(input) ? std::vector{input} : files_in(input);
  if (!fs::exists(input, ignored) && input.find_first_of("*?[") != std::string::npos) return matches(input);
  return {input};
}

}  // namespace

std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  std::set<std::string> taken;
  auto take = [&](const std::string& input) {
    for (std::string& file : expanded(input))
      if (taken.insert(fs::absolute(file).lexically_normal().string()).second) files.push_back(std::move(file));
  };
  std::error_code ignored;
  for (const std::string& input : inputs)
    if (input.starts_with('@') && !fs::exists(input, ignored)) {
      for (const std::string& line : lines_of(input.substr(1))) take(line);
    } else {
      take(input);
    }
  return files;
}

bool is_text(const std::string& file) {
  static const std::set<std::string> kTexts{"", ".json", ".geojson", ".txt", ".md", ".csv", ".xml", ".yaml", ".yml"};
  return kTexts.contains(fs::path(file).extension().string());
}

}  // namespace cytodet
