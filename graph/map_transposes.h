// Transposes of maps: what moves data only because two nodes want it in different orders.
#pragma once

#include <string>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

struct MapTranspose {
  std::string name, why;  // "input images comes in this order"
};

// Transposes by constants of values with three dimensions or more that are no constants.
std::vector<MapTranspose> map_transposes(const Graph& graph);

// Lines for people; empty when there are none.
std::string to_text(const std::vector<MapTranspose>& transposes);

}  // namespace cytodet::graph
