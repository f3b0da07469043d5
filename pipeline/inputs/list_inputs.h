// What a user names, as files.
#pragma once

#include <string>
#include <vector>

namespace cytodet::pipeline {

// What a user names, as files, each once and sorted within a folder or pattern.
struct InputList {
  std::vector<std::string> files;       // to be opened: named, or images by name or content
  std::vector<std::string> companions;  // found in a folder or by a pattern, and no images (pipeline/inputs/companions.h)
};
// Files, folders (not nested), patterns ("slides/*.svs") and lists ("@list.txt": one of these a line, relative to the list; empty
// lines and those that start with # do not count). Throws Error on a folder without files, a pattern that matches nothing, a list
// that cannot be read.
InputList list_inputs(const std::vector<std::string>& inputs);
// Throws Error where there are companions alone, too.
InputList list_images(const std::vector<std::string>& inputs);
// The files of list_images().
std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs);

}  // namespace cytodet::pipeline
