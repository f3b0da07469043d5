// Detection into a run folder: state after every slide, resuming, shards.
#pragma once

#include <string>

#include "pipeline/run_config.h"
#include "pipeline/run_folder.h"
#include "pipeline/run_log.h"

namespace cytodet {

struct FolderOptions {
  bool resume = false;        // keep what an earlier start finished with the same settings on the same slides
  int shard = 1, shards = 1;  // only every shards-th slide of the list, from the shard-th (from 1) on
  bool mask_picture = false;  // also RUN/masks/NAME.png
  LogOptions log;
};

struct FolderRun {
  RunState state;
  DetectReport report;  // of what was run now, without detections
};

// Detects on `config.inputs` and writes the run folder `config.output`, see pipeline/run_folder.h. Image ids are the truth's when
// it knows the file name, else 1, 2, ... in the order of the list. Files that a folder holds beside slides and that are texts are
// skipped. Errors: nothing to do, another process at work in the folder, run.json cannot be written.
FolderRun detect_to_folder(Detector& detector, const RunConfig& config, const FolderOptions& options = {});

// "2/8". Throws UsageError.
void parse_shard(const std::string& text, FolderOptions& options);

int exit_of(const RunState& state);

}  // namespace cytodet
