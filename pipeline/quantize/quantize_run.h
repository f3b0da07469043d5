// What a run config with "quantize" makes of its network before it compares precisions.
#pragma once

#include <filesystem>

#include "pipeline/config/run_config.h"
#include "pipeline/quantize/quantize_model.h"

namespace cytodet::pipeline {

// Calibrates (or reads ranges) and quantizes as c.quantize says, with max_drop by a search, and writes fp32.pb, int8.pb, their
// model files and ranges.json into the folder. A caller that lists its own files does so by FolderManifest.
Quantized write_both_precisions(QuantizationTarget& target, const RunConfig& c, const std::filesystem::path& folder);

}  // namespace cytodet::pipeline
