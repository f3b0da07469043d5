// The entry of networks that give boxes, scores and classes themselves in the registry of families.
#pragma once

#include "models/registry.h"

namespace cytodet::models {

extern const ModelFamily kBoxes;

}  // namespace cytodet::models
