#include "core/error.h"
#include "graph/passes/passes.h"

namespace cytodet {

std::set<NodeId> output_ids(const Graph& g, const Interface& io) {
  std::set<NodeId> ids;
  for (const std::string& name : io.outputs.empty() ? find_outputs(g) : io.outputs) ids.insert(g.value(name).node);
  return ids;
}

std::set<NodeId> input_ids(const Graph& g, const Interface& io) {
  std::set<NodeId> ids;
  for (const std::string& name : io.inputs) ids.insert(g.value(name).node);
  if (io.inputs.empty())
    for (NodeId id : g.ids())
      if (g.node(id).op == "Placeholder") ids.insert(id);
  return ids;
}

void sweep(Graph& g, const Interface& io) {
  std::vector<NodeId> keep;
  for (NodeId id : output_ids(g, io)) keep.push_back(id);
  for (NodeId id : input_ids(g, io)) keep.push_back(id);
  g.sweep(keep);
}

}  // namespace cytodet
