// How a run folder is written, beside what the run config says. It is the third and last struct of options on the way from the
// command line to the boxes: the flags of a command (DetectFlags), the run config with its DetectSettings, and this.
#pragma once

#include <string>
#include <vector>

#include "pipeline/detect/image_pipeline.h"
#include "pipeline/detect/progress_log.h"

namespace cytodet::pipeline {

struct FolderOptions {
  bool resume = false;                 // keep what an earlier start finished with the same settings on the same slides
  int shard = 1, shards = 1;           // only every shards-th slide of the list, from the shard-th (from 1) on
  bool mask_image = false;             // also RUN/masks/NAME.png
  bool overwrite = false;              // replace what an earlier version left without a list of its files, see list_by_content()
  std::vector<std::string> read_also;  // files that the command has read: the config
  std::vector<std::string> run_also;   // files that it will add to the run, see add_run_file()
  LogOptions log;
  bool catch_signals = true;  // Ctrl-C, SIGTERM and SIGHUP stop the batch, see StopSignals; false: they are left alone
  DetectHooks also;           // its started, tile and stop are called as well; the rest is not looked at
};

}  // namespace cytodet::pipeline
