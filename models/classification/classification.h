// The entry of image classification networks (ResNet, MobileNet, Inception and the like) in the registry of families.
#pragma once

#include "models/registry.h"

namespace cytodet::models {

extern const ModelFamily kClassification;

}  // namespace cytodet::models
