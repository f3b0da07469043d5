// What is in a graph: TensorFlow's summarize_graph lines, and shapes and work per node.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/ir/op.h"

namespace cytodet::graph {

struct InspectNode {
  std::string name, op;
  std::vector<std::string> inputs;
  std::vector<std::string> shapes;  // per output slot: "float32 [1,512,512,3]", "?" when unknown
  int64_t macs = 0;                 // multiply-accumulates; 0 when it has none or shapes are unknown
};

struct InspectReport {
  std::vector<InspectNode> nodes;  // inputs first
  std::vector<std::string> inputs, variables, outputs;
  std::vector<std::string> input_lines, output_lines;  // "(name=..., type=float(1), shape=[?,224,224,3])"
  int64_t const_parameters = 0, variable_parameters = 0, control_edges = 0;
  int64_t macs = 0;            // also those in the bodies of functions that are called
  int64_t layers_unsized = 0;  // convolutions and matrix products whose work is not known, as shapes are open
  std::vector<std::pair<std::string, int>> op_counts;  // most frequent first
};

// Multiply-accumulates of a graph's convolutions and matrix products, also of those in the bodies of functions that are called.
struct GraphWork {
  int64_t macs = 0;
  int64_t layers_unsized = 0;  // layers whose work is not known, as shapes are open
};
GraphWork work_of(const Graph& graph, const std::map<std::string, Shape>& shapes = {});

// `shapes` overrides the shape of inputs by name; an unknown batch counts as 1 for work.
InspectReport inspect(const Graph& graph, const std::map<std::string, Shape>& shapes = {});

// summarize_graph's text; with `structure` also one line per node.
std::string to_text(const InspectReport& report, const std::string& graph_path, bool structure);

}  // namespace cytodet::graph
