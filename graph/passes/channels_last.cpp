#include <algorithm>
#include <set>

#include "graph/ir/frames.h"
#include "graph/layout/move_transposes.h"
#include "graph/layout/put_channels_last.h"
#include "graph/passes/node_edits.h"
#include "graph/passes/passes.h"

namespace cytodet::graph {
namespace {

// Whether transposes may be moved: nodes are added anew then, which keeps no control edges and knows nothing of loops and of ops
// without a meaning here.
bool may_move(const Graph& g, const Interface& io) {
  for (NodeId id : g.ids()) {
    const Node& n = g.node(id);
    if (!n.controls.empty() || is_control_flow_op(n.op) || !find_op(n.op)) return false;
  }
  return std::all_of(io.outputs.begin(), io.outputs.end(), [&](const std::string& name) {
    const Value v = g.value(name);
    const std::string& op = g.node(v.node).op;
    return v.slot == 0 && op != "Placeholder" && op != "PlaceholderWithDefault" && op != "Const";
  });
}

// Every output becomes an Identity of its name, which nobody reads.
std::vector<NodeId> end_in_identities(Graph& g, const Interface& io) {
  std::vector<NodeId> ends;
  for (NodeId id : output_ids(g, io)) {
    const std::string name = g.node(id).name;
    const DType type = g.node(id).attr_or("T", DType::f32);
    g.rename(id, g.unique_name(name + "/channels_first"));
    ends.push_back(g.add_new(name, "Identity", {{id, 0}}, {{"T", type}}).node);
  }
  return ends;
}

}  // namespace

bool pass_channels_last(Graph& g, const Interface& io) {
  const Facts facts(g);
  std::vector<std::pair<NodeId, int64_t>> first;
  for (NodeId id : g.topological_order())
    if (const int64_t rank = channels_first_rank(g, facts, id)) first.emplace_back(id, rank);
  std::vector<std::pair<std::string, std::string>> names;  // that the nodes had and have
  for (const auto& [id, rank] : first) {
    const std::string name = g.node(id).name;
    names.emplace_back(name, g.node(put_channels_last(g, id, rank)).name);
  }
  if (first.empty() || !may_move(g, io)) return !first.empty();
  const std::vector<NodeId> ends = end_in_identities(g, io);
  g = move_transposes(g, ends);
  // A node whose Transposes were moved away gets back its name, by which lists of layers call it.
  for (const auto& [name, moved] : names)
    if (g.find(name) < 0 && g.find(moved) >= 0) g.rename(g.find(moved), name);
  return true;
}

}  // namespace cytodet::graph
