// --resume: which slides of an earlier start are kept, and why the others are not.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/results/run_folder.h"
#include "pipeline/results/run_plan.h"

namespace cytodet::pipeline {

// What a slide's results must have been made with.
struct Wanted {
  std::string settings_hash;  // of BoxesHeader
  std::string image_options;
};

// Why the results of an earlier start are not kept.
enum class NotKept { is_new, unfinished, other_settings, changed, other_outputs, missing_files, damaged };
const char* name_of(NotKept reason);  // in a word or two: "new", "with other settings"

// If the earlier start finished the slide `s` with what is wanted, and the slide is still the one that it was: nothing, and `s`
// is as that start left it, with the path of now. Else the reason; is_new is the caller's to find. A slide is the same when its
// size is, and either its time of change (to 100 ns) and path are, or a hash of parts of it (see pipeline/inputs/slide_files.h).
// Runs of versions without that hash: its file's name and its time to two seconds.
std::optional<NotKept> keep_slide(const RunFolder& folder, const RunLayout& layout, const Wanted& wanted, ImageResult& s);

// "3 new, 1 with other settings": the counts, the most frequent first.
std::string counted(const std::map<NotKept, int>& reasons);

}  // namespace cytodet::pipeline
