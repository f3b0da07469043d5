// Another size of the image that a frozen, fully convolutional graph takes.
#pragma once

#include <string>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

struct MapSize {
  int64_t height = 0, width = 0;
  friend bool operator==(const MapSize&, const MapSize&) = default;
};

// Makes a graph that was frozen for images [1, from.height, from.width, channels] of the placeholder `input` one for images of
// size `to`, as far as its outputs read it. Every map must grow as the image does: each dimension stays, or becomes exactly as
// many times as large as the image's height, width or area does. Constants that hold a frozen size follow: targets of Reshape and
// of resizes, ends of Slice and StridedSlice, windows of pools over a whole map; other ops get their shapes from their inputs.
// Products, tables and weights that have the frozen size stay what they are, and so do means over a whole map, whose map is now
// another one. With `to` equal to `from` nothing changes. Throws Error with the node that cannot follow, and with the sizes that
// divide evenly where that is the reason; the graph then stays as it was.
void resize_input(Graph& graph, const std::string& input, MapSize from, MapSize to, const std::vector<std::string>& outputs);

// The steps in which the sizes of resize_input() may grow: the least common multiple of the image's pixels per pixel of its maps.
// Throws Error where the graph follows no other size.
MapSize input_step(const Graph& graph, const std::string& input, MapSize from, const std::vector<std::string>& outputs);

}  // namespace cytodet::graph
