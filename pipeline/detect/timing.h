// The timing table of a detection run.
#pragma once

#include <string>

#include "core/json_fwd.h"
#include "pipeline/detect/image_pipeline.h"

namespace cytodet::pipeline {

// Per stage the median and 95th percentile of milliseconds per image, and images/s, tiles/s and megapixels/s over the wall
// time.
Json timing_json(const DetectReport& report);
std::string timing_table(const DetectReport& report);

}  // namespace cytodet::pipeline
