// Placeholders that get a value for good, as the flag of a training phase: NAME=VALUE.
#pragma once

#include <string>
#include <vector>

#include "graph/io/read_graph.h"

namespace cytodet::graph {

// What is stated of a graph on the way in.
struct GraphChanges {
  std::vector<std::string> set;  // NAME=VALUE: set_values
  InputSizes sizes;              // of inputs that are open
};
Graph read_graph(const std::filesystem::path& path, const GraphChanges& changes);

// Makes a constant of each named Placeholder or PlaceholderWithDefault. VALUE is JSON (true, 0.5, [1, 2], "text"); bare text is a
// text. It is of the placeholder's type; one value fills a placeholder of known shape. Throws UsageError with the text: no "=",
// no such placeholder (with the nearest), one named twice, a value of another type or shape.
void set_values(Graph& graph, const std::vector<std::string>& assignments);

}  // namespace cytodet::graph
