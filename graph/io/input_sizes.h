// Sizes of a graph's inputs, stated where the file leaves them open: --input NAME=1,3,640,640.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

using InputSizes = std::map<std::string, Shape>;  // by the input's name

// What is known of an input's shape with the sizes that are stated for it. Throws UsageError: another number of dimensions,
// another size than the file fixes.
Shape sized_shape(const std::string& input, const std::optional<Shape>& known, const Shape& stated);
// Throws UsageError with the nearest when a name is none of the inputs.
void check_input_names(const InputSizes& sizes, const std::vector<std::string>& inputs);

// Gives the Placeholders of these names their sizes.
void set_input_sizes(Graph& graph, const InputSizes& sizes);

}  // namespace cytodet::graph
