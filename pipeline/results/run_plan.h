// The plan of a run folder: every file that a run can write, laid out and checked before any work.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/config/run_config.h"
#include "pipeline/results/run_files.h"

namespace cytodet::pipeline {

// Files that the run reads, by device and inode, so that links and other spellings of a path do not hide one.
class ReadFiles {
 public:
  void add(const std::filesystem::path& file, const std::string& what);  // what: "the input", "the ground truth", ...
  // A file, or all files of a folder.
  void add_all(const std::filesystem::path& path, const std::string& what);
  // "the input in/a.png", or null: none of them is this file.
  const std::string* find(const std::filesystem::path& path) const;

 private:
  std::map<std::pair<uint64_t, uint64_t>, std::string> files_;
};

// Everything that `config` names: inputs, of which `slides` are the files, with their companions; lists of inputs, ground truth,
// model file, graph, regions.
ReadFiles files_read(const RunConfig& config, const std::string& graph, const std::vector<std::string>& slides);

struct RunLayout {
  std::optional<OverlayFormat> overlay;  // none: no overlays
  bool mask = false;                     // masks/NAME.png
  std::vector<std::string> outputs;      // entries of outputs()
  std::vector<std::string> run_also;     // files of the run that the command writes beside ours: "scores.json"

  // In the order in which they get their names; the .boxes file last, so that its presence says that the slide is done.
  std::vector<std::string> files_of(const std::string& slide_name) const;
  std::vector<std::string> files_of_run() const;
};
// All that any run writes of a slide, whatever its settings.
std::vector<std::string> all_files_of(const std::string& slide_name);

// Throws UsageError where a file that the run would write is one that it reads, or stands there and is not ours. `todo`: the
// slides that are done now.
void check_plan(const RunFiles& files, const RunLayout& layout, const std::vector<const ImageResult*>& todo,
                const ReadFiles& read);

// Checks (name of a file, what is to be written there) in the same way.
void check_plan(const RunFiles& files, const std::vector<std::pair<std::string, std::string>>& planned, const ReadFiles& read);

// The longest name of a file of these slides.
std::string longest_name(const RunLayout& layout, const std::vector<const ImageResult*>& todo);

// Lists files of a run that an earlier version wrote, which kept no list, where their bytes are what is written for the run's
// boxes. Others stay unlisted: nobody can know whose they are.
void list_by_content(RunFiles& files);

}  // namespace cytodet::pipeline
