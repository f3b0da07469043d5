// The timing table of a detection run.
#pragma once

#include <string>

#include "core/json_fwd.h"
#include "pipeline/detect/image_pipeline.h"

namespace cytodet::pipeline {

// Per stage the median and 95th percentile of milliseconds per image, and over the wall time images/s, tiles/s, and how much of
// the images was looked at: megapixels/s, and mm2_per_s where the size of all their pixels is known. What was looked at is inside
// the regions of interest, tiles that needed not be run included, each place once however tiles overlap.
Json timing_json(const DetectReport& report);
std::string timing_table(const DetectReport& report);

}  // namespace cytodet::pipeline
