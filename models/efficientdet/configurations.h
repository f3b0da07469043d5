// The published EfficientDets.
#pragma once

#include <string>
#include <vector>

#include "models/model_file.h"

namespace cytodet::models {

// efficientdet-d0 .. d7, d7x and efficientdet-lite0 .. lite4, lite3x: input side, normalisation, levels, anchor scale; graph and
// classes are left to the caller. Throws UsageError with the known ones.
ModelFile configuration(const std::string& name);
std::vector<std::string> configuration_names();

}  // namespace cytodet::models
