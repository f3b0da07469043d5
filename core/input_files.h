// Files that are read, by device and inode, so that links and other spellings of a path do not hide one from whoever would write
// over it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "core/namespaces.h"

namespace cytodet::core {

class InputFiles {
 public:
  struct File {
    std::filesystem::path path;
    std::string what;  // as an error calls it: "the ground truth", "the graph", "an input"
  };
  // A folder stands for itself, not for what it holds. What does not exist, or is none of our files ("-", a device), is no input.
  void add(const std::filesystem::path& path, const std::string& what);
  // A file, or all files of a folder.
  void add_all(const std::filesystem::path& path, const std::string& what);
  // Null: none of them is the file of this path; links are followed.
  const File* find(const std::filesystem::path& path) const;
  const File* find(dev_t device, ino_t inode) const;

 private:
  std::map<std::pair<dev_t, ino_t>, File> files_;  // what was added first
};

// "the ground truth, data/truth.json", or "the ground truth" where `as` spells it alike.
std::string named_file(const std::string& what, const std::filesystem::path& path, const std::filesystem::path& as);
// What is wrong with writing `what` to a path that an input has: "the report would be written over the ground truth, a.json".
std::string written_over(const std::string& what, const InputFiles::File& input, const std::filesystem::path& output);

}  // namespace cytodet::core
