// Recognising a network that gives heat maps by the names and shapes of its outputs.
#pragma once

#include <vector>

#include "models/recognise.h"

namespace cytodet::models {

std::vector<Recogniser> heat_map_recognisers();

}  // namespace cytodet::models
