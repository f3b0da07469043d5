// The entry of EfficientDet (Tan et al. 2020) in the registry of families.
#pragma once

#include "models/registry.h"

namespace cytodet::models {

extern const ModelFamily kEfficientDet;

}  // namespace cytodet::models
