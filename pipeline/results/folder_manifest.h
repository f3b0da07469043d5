// Which files in a folder are the program's own, where commands give files names that no user typed: `export -o DIR`,
// `merge -o DIR`, `run` with quantize, and `--dump-dir`. A file of such a name that somebody else made is not replaced.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/file.h"
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
  // From now on, what this thread writes into the folder is listed before it takes its name, so that a kill leaves no file of
  // ours unlisted. A write throws Error where the disk is too full to list it.
  void list_what_is_written();

 private:
  void read();
  void read_run();
  bool is_ours(const std::string& name) const;
  void list(const std::filesystem::path& content, const std::string& name);

  std::filesystem::path folder_;
  std::vector<OwnFile> listed_;
  std::optional<BeforePlacing> placing_;
};

// The folder that a file lies in; absolute.
std::filesystem::path folder_of(const std::string& file);
// FolderManifest::require_ours on the folder of each of these files.
void require_own_files(const std::vector<std::filesystem::path>& files);

// Help texts of two flags.
constexpr const char* kOverwriteHelp = "Also replace files of names that the program chose which another program or hand made";
constexpr const char* kOwnNameHelp =
    "Refuse to replace a file of the output's name that this program did not write: for scripts that choose the name";

}  // namespace cytodet::pipeline
