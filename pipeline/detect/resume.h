// --resume: which slides of an earlier start are kept, and why the others are not.
#pragma once

#include <map>
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

// If the earlier start finished the slide `s` with what is wanted, and the slide is still the one that it was: true, and `s` is
// as that start left it, with the path of now. Else false, and `why` says in a word or two: "new", "unfinished", "with other
// settings", "with other forms", "changed", "damaged". A slide is the same when its size is, and either its time of change (to
// 100 ns) and path are, or a hash of parts of it (see pipeline/inputs/slide_files.h). Runs of versions without that hash: its
// file's name and its time to two seconds.
bool keep_slide(const RunFolder& folder, const RunLayout& layout, const Wanted& wanted, ImageResult& s, std::string& why);

// "3 new, 1 with other settings": the counts, the most frequent first.
std::string counted(const std::map<std::string, int>& reasons);

}  // namespace cytodet::pipeline
