#include "graph/description.h"

#include "core/error.h"
#include "core/settings.h"
#include "graph/passes/pass.h"

namespace cytodet::graph {
namespace {

// Nodes on 8-bit quantized values that no kernel will run, and why.
std::vector<UnraisedNode> nodes_without_kernel(const Graph& graph) {
  Graph g = graph;
  PassOptions before;
  before.only = std::vector<std::string>{"fold_switch_merge", "remove_training_nodes"};  // what the passes do first
  try {
    run_passes(g, before);
    return unraised_nodes(g, {});
  } catch (const Error&) {
    return {};  // nothing runs it at all
  }
}

}  // namespace

Description describe(const Graph& graph, const std::map<std::string, Shape>& shapes) {
  return {inspect(graph, shapes), nodes_without_kernel(graph), map_transposes(graph)};
}

Json to_json(const Description& d) {
  const InspectReport& r = d.report;
  Json j{{"inputs", r.inputs},
         {"outputs", r.outputs},
         {"variables", r.variables},
         {"const_parameters", r.const_parameters},
         {"variable_parameters", r.variable_parameters},
         {"control_edges", r.control_edges},
         {"macs", r.macs},
         {"layers_unsized", r.layers_unsized}};
  for (const auto& [op, count] : r.op_counts) j["ops"][op] = count;
  j["nodes"] = Json::array();
  for (const InspectNode& n : r.nodes)
    j["nodes"].push_back({{"name", n.name}, {"op", n.op}, {"inputs", n.inputs}, {"outputs", n.shapes}, {"macs", n.macs}});
  for (const UnraisedNode& n : d.plain_integer_nodes)
    j["plain_integer_nodes"].push_back({{"name", n.name}, {"op", n.op}, {"why", n.why}});
  for (const MapTranspose& t : d.map_transposes) j["map_transposes"].push_back({{"name", t.name}, {"why", t.why}});
  return j;
}

}  // namespace cytodet::graph
