// Joining the run folders of shards.
#pragma once

#include <filesystem>
#include <vector>

#include "pipeline/results/run_folder.h"

namespace cytodet::pipeline {

// Writes the run folder `out` that one start over the whole list would have written, byte for byte but for run.json's times.
// Errors name the folders: settings, models or lists that differ, a shard given twice, shards that are missing, slides that are
// waiting. Files are copied; `out` must not be one of the runs.
RunState collect(const std::vector<std::filesystem::path>& runs, const std::filesystem::path& out);

}  // namespace cytodet::pipeline
