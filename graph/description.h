// What is in a graph, as JSON: what `cytodet inspect --json` prints.
#pragma once

#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "graph/inspect.h"
#include "graph/map_transposes.h"
#include "graph/passes/raise_int8.h"

namespace cytodet::graph {

struct Description {
  InspectReport report;
  std::vector<UnraisedNode> plain_integer_nodes;  // on 8-bit values, without a kernel
  std::vector<MapTranspose> map_transposes;       // turns of feature maps that stay
};
// `shapes` overrides the shape of inputs by name.
Description describe(const Graph& graph, const std::map<std::string, Shape>& shapes = {});

// Keys: inputs, outputs, variables, const_parameters, variable_parameters, control_edges, macs, layers_unsized, ops {op: count},
// nodes [{name, op, inputs, outputs, macs}]; plain_integer_nodes and map_transposes [{name, why}] where there are some.
Json to_json(const Description& description);

}  // namespace cytodet::graph
