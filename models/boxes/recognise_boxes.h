// Recognisers of networks that the family `boxes` runs. docs/models.md lists them.
#pragma once

#include <vector>

#include "models/recognise.h"

namespace cytodet::models {

std::vector<Recogniser> box_recognisers();

}  // namespace cytodet::models
