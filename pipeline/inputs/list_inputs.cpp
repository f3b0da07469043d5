#include "pipeline/inputs/list_inputs.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/text_decode.h"
#include "pipeline/inputs/companions.h"
#include "tiling/slides/formats/known_formats.h"
#include "tiling/slides/formats/slide_parts.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

// What iCloud leaves of a file that is not on this disk, ".S1.svs.icloud": hidden, but meant.
bool is_placeholder(const std::string& name) { return name.size() > 8 && name.ends_with(".icloud"); }

// Images that a slide of the folder names as its parts are no images of their own.
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
  const std::string text = decode_text(read_file(list, int64_t{256} << 20), list);
  std::vector<std::string> lines;
  size_t number = 0;
  for (std::string_view piece : lines_of_text(text)) {
    ++number;
    std::string line(piece);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) line.pop_back();
    line.erase(0, line.find_first_not_of(" \t"));
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '@') throw Error(list, "names another list, " + line, "name slides, folders and patterns in it");
    if (line.find('\0') != std::string::npos)
      throw Error(list, "holds a zero byte in line " + std::to_string(number), "write one name per line");
    lines.push_back(fs::path(line).is_absolute() ? line : (fs::path(list).parent_path() / line).string());
  }
  if (lines.empty()) throw Error(list, "names no slides", "write one per line");
  return lines;
}

// What one input stands for. `found`: the files were found, not named.
std::vector<std::string> expanded(const std::string& input, bool& found) {
  std::error_code ignored;
  found = true;
  if (fs::is_directory(input, ignored)) {
    found = !is_slide_folder(input);
    return found ? files_in(input) : std::vector{input};
  }
  if (!fs::exists(input, ignored) && input.find_first_of("*?[") != std::string::npos) return matches(input);
  found = false;
  return {input};
}

}  // namespace

InputList list_inputs(const std::vector<std::string>& inputs) {
  InputList list;
  std::set<std::string> taken, named(inputs.begin(), inputs.end());
  auto take = [&](const std::string& input) {
    bool found = false;
    for (std::string& file : expanded(input, found)) {
      if (!taken.insert(fs::absolute(file).lexically_normal().string()).second) continue;
      const bool companion = found && !named.contains(file) && is_companion(file);
      (companion ? list.companions : list.files).push_back(std::move(file));
    }
  };
  std::error_code ignored;
  for (const std::string& input : inputs)
    if (input.starts_with('@') && !fs::exists(input, ignored)) {
      for (const std::string& line : lines_of(input.substr(1))) take(line);
    } else {
      take(input);
    }
  return list;
}

InputList list_images(const std::vector<std::string>& inputs) {
  InputList list = list_inputs(inputs);
  if (list.files.empty())
    throw Error(inputs.at(0), "holds no images, only " + names_of_files(list.companions), "name the folder of the slides");
  return list;
}

std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs) { return list_images(inputs).files; }

}  // namespace cytodet::pipeline
