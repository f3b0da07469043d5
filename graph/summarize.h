// A graph in the words of TensorFlow's summarize_graph.
#pragma once

#include <string>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// "float(1)"
std::string summary_type(DType type);
// 25503912 -> "25.50M"
std::string short_count(int64_t n);
// The "shape" attribute: "[?,224,224,3]", "<unknown>", "None" where there is none.
std::string summary_shape(const Node& node);

// `structure`: also a line for each node, inputs before their readers.
std::string summary(const Graph& graph, const std::string& graph_path, bool structure);

// As TensorFlow shows a tensor: "Tensor<type: float shape: [2,2] values: [1 2][3...]...>".
std::string tensor_text(const Tensor& tensor, int64_t max_values = 3);

}  // namespace cytodet::graph
