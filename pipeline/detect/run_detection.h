// Detection into a run folder: state after every slide, resuming, shards.
#pragma once

#include <string>

#include "pipeline/config/run_config.h"
#include "pipeline/detect/folder_options.h"
#include "pipeline/detect/image_pipeline.h"
#include "pipeline/results/run_folder.h"

namespace cytodet::pipeline {

struct FolderRun {
  RunState state;
  DetectReport report;      // of what was run now, without detections
  int signal = 0;           // that stopped it; 0: none. It is for callers that have reported everything, see end_by()
  bool incomplete = false;  // detections.json or run.json could not be written; errors were reported
};

// Detects on `config.inputs` and writes the run folder `config.output`, see pipeline/results/run_folder.h. Image ids are the
// ground truth's of the files that it knows, see GroundTruth::images_of, and above all of them for others; without a ground truth
// 1, 2, ... in the order of the list. Files that a folder holds beside slides and that are texts are skipped. A full disk, a
// folder that has gone and a signal end the batch early; what is done is kept by resuming. Errors: nothing to do, another process
// at work in the folder, a file that would be written over one that is not ours (before any work), run.json cannot be written.
FolderRun detect_to_folder(Detector& detector, const RunConfig& config, const FolderOptions& options = {});

// "2/8"; "auto" and "auto/8" as shard_of_scheduler() says. Throws UsageError.
void parse_shard(const std::string& text, FolderOptions& options);
// Whether the scheduler is asked; all workers are given one folder then, and each has one of its own in it: shard-02-of-08.
bool is_automatic(const std::string& shard);
std::string shard_folder(const FolderOptions& options);

// Whether no slide is done, and slides were skipped as they have no region of interest.
bool nothing_to_look_at(const RunState& state);

// Exit code of a run; failed where nothing_to_look_at().
int exit_of(const RunState& state);
int exit_of(const FolderRun& run);

}  // namespace cytodet::pipeline
