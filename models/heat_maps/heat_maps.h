// The entry of networks whose outputs are maps of scores in the registry of families.
#pragma once

#include "models/registry.h"

namespace cytodet::models {

extern const ModelFamily kHeatMaps;

}  // namespace cytodet::models
