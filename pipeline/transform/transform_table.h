// The transforms of TensorFlow's transform_graph and of Intel's, by their names.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "graph/ir/endpoints.h"
#include "pipeline/transform/transform_list.h"

namespace cytodet::pipeline {

struct TransformContext {
  Graph& graph;
  const Interface& interface;  // names without ":0"; outputs are never removed or renamed
  const TransformCall& call;
};

struct Transform {
  const char* name;
  std::vector<const char*> parameters;  // besides ignore_errors
  const char* summary;                  // one line: "before -> after"
  void (*run)(TransformContext&);       // null: it serves no purpose here, and `summary` says why
};

std::span<const Transform> all_transforms();  // by name

// Runs one after the other; `say` gets a line for each ("Applying NAME"), and what is to be known besides. A transform that fails
// with ignore_errors=true is left out. Throws Error for unknown names and parameters, with the nearest known ones, before any
// work, and when a graph that would load no longer does.
void apply_transforms(Graph& graph, const Interface& interface, const std::vector<TransformCall>& calls,
                      void (*say)(const std::string&));

}  // namespace cytodet::pipeline
