#include "graph/passes/node_edits.h"

#include <algorithm>

#include "core/error.h"

namespace cytodet::graph {

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

void wait_for(Node& n, const std::vector<NodeId>& controls) {
  for (NodeId c : controls)
    if (std::find(n.controls.begin(), n.controls.end(), c) == n.controls.end()) n.controls.push_back(c);
}

Value add_const_like(Graph& g, Value old, std::string_view base, Tensor tensor) {
  const Value made = g.add_const(base, std::move(tensor));
  g.node(made.node).controls = g.node(old.node).controls;
  return made;
}

}  // namespace cytodet::graph
