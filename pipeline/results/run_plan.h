// The plan of a run folder: every file that a run can write, laid out and checked before any work.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/input_files.h"
#include "pipeline/config/run_config.h"
#include "pipeline/results/run_files.h"

namespace cytodet::pipeline {

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
                const InputFiles& read);

// Checks (name of a file, what is to be written there) in the same way.
void check_plan(const RunFiles& files, const std::vector<std::pair<std::string, std::string>>& planned, const InputFiles& read);

// The longest name of a file of these slides.
std::string longest_name(const RunLayout& layout, const std::vector<const ImageResult*>& todo);

// Lists files of a run that an earlier version wrote, which kept no list, where their bytes are what is written for the run's
// boxes. Others stay unlisted: nobody can know whose they are.
void list_by_content(RunFiles& files);

}  // namespace cytodet::pipeline
