// Every file that a command reads and every file that it may write, held against each other before any work: nobody's data is
// written over because a path was spelled otherwise, or led through a link.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/input_files.h"
#include "core/namespaces.h"

namespace cytodet::core {

class OutputPlan {
 public:
  void add_input(const std::filesystem::path& path, const std::string& what) { inputs_.add(path, what); }
  InputFiles& inputs() { return inputs_; }
  // A file to be: it need not exist, nor its folder.
  void add_output(const std::filesystem::path& path, const std::string& what);
  std::vector<std::filesystem::path> outputs() const;
  // UsageError that names both, where an output would be written over an input or over another output.
  void check() const;

 private:
  // Device and inode of a file; for a file that does not exist those of the nearest folder that does, and the path from there.
  struct Place {
    dev_t device = 0;
    ino_t inode = 0;
    std::string rest;
    bool exists() const { return rest.empty(); }
    auto operator<=>(const Place&) const = default;
  };
  struct File {
    std::filesystem::path path;
    std::string what;
    Place place;
    std::filesystem::path folder;  // the nearest that exists
  };
  Place place_of(const std::filesystem::path& path, int links, std::filesystem::path& folder);
  void check_against_inputs() const;
  void check_against_outputs() const;

  InputFiles inputs_;
  std::vector<File> outputs_;
  std::unordered_map<std::string, Place> folders_;  // that exist, as spelled
};

// Before long work: check(), and whether each output can be written where it is to be.
void check_outputs(const OutputPlan& plan);

// Whether two names in a folder are one to its file system: upper and lower case, normal forms. Tried with files in a folder of
// their own, which is removed; true where nothing can be tried.
bool names_are_one(const std::filesystem::path& folder, const std::string& a, const std::string& b);

}  // namespace cytodet::core
