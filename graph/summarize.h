// A graph in the words of TensorFlow's summarize_graph.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// "float(1)"
std::string summary_type(DType type);
// 25503912 -> "25.50M"
std::string short_count(int64_t n);
// The "shape" attribute: "[?,224,224,3]", "<unknown>", "None" where there is none.
std::string summary_shape(const Node& node);
// "(name=image, type=float(1), shape=[?,224,224,3])"
std::string input_line(const Node& node);

// The lines below end with a line feed.
// "Found 2 possible inputs: ENTRY ENTRY ", or "No inputs spotted."; `what` is "possible " or nothing.
std::string found_line(const std::vector<std::string>& entries, const std::string& what, const std::string& plural);
// "Found 25503912 (25.50M) const parameters, 0 (0) variable parameters, and 0 control_edges"
std::string parameters_line(int64_t constants, int64_t variables, int64_t control_edges);

using OpCounts = std::vector<std::pair<std::string, int>>;
// Ops that occur equally often by name.
OpCounts most_frequent_first(const std::map<std::string, int>& ops);
// "Op types used: 3 Const, 1 Add"
std::string ops_line(const OpCounts& ops);

// `structure`: also a line for each node, inputs before their readers.
std::string summary(const Graph& graph, const std::string& graph_path, bool structure);

// A tensor as TensorFlow shows it: "Tensor<type: float shape: [2,2] values: [1 2][3...]...>".
std::string tensor_text(const Tensor& tensor, int64_t max_values = 3);

}  // namespace cytodet::graph
