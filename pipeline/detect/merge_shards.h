// Joining the run folders of shards.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "pipeline/results/run_folder.h"

namespace cytodet::pipeline {

struct CollectOptions {
  bool allow_missing = false;  // join what is there: without shards that are missing or cannot be read; slides that wait stay so
  std::function<void(const std::string& what)> missing = {};  // hears what is not there
};

// Writes the run folder `out` that one start over the whole list would have written, byte for byte but for run.json's times.
// Errors name the folders: settings, models or lists that differ, a shard given twice, shards that are missing, slides that are
// waiting. Files are copied; `out` must not be one of the runs.
RunState collect(const std::vector<std::filesystem::path>& runs, const std::filesystem::path& out,
                 const CollectOptions& options = {});

}  // namespace cytodet::pipeline
