// Which files in a folder are the program's own, where commands give files names that no user typed: `export -o DIR`,
// `merge -o DIR`, and `run` with quantize. A file of such a name that somebody else made is not replaced.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/results/image_result.h"

namespace cytodet::pipeline {

class FolderManifest {
 public:
  // DIR/.cytodet-files lists what was written: one JSON object a line, with name, size and hash. A run folder's own files are
  // known as well.
  static constexpr const char* kName = ".cytodet-files";

  explicit FolderManifest(std::filesystem::path folder);

  // Throws UsageError with the first of these files that stands there and is not ours: not listed, or changed since.
  void require_ours(const std::vector<std::string>& names) const;
  // After it was written. Throws Error where the disk is too full to list it, which is removed then.
  void add(const std::string& name);

 private:
  void read();
  void read_run();
  bool is_ours(const std::string& name) const;

  std::filesystem::path folder_;
  std::vector<OwnFile> listed_;
};

}  // namespace cytodet::pipeline
