#include <algorithm>

#include "graph/passes/passes.h"

namespace cytodet {
namespace {

// The predicate as a constant, looking through Identity and a default that nobody is going to feed.
const Tensor* predicate(const Graph& g, Value v, const std::set<NodeId>& fed) {
  for (int hops = 0; hops < 64; ++hops) {
    if (const Tensor* t = g.constant(v)) return t->dtype() == DType::boolean && t->size() == 1 ? t : nullptr;
    const Node& n = g.node(v.node);
    bool pass = n.op == "Identity" || (n.op == "PlaceholderWithDefault" && !fed.contains(v.node));
    if (!pass || n.inputs.empty()) return nullptr;
    v = n.inputs[0];
  }
  return nullptr;
}

}  // namespace

bool pass_fold_switch_merge(Graph& g, const Interface& io) {
  std::set<NodeId> fed;
  for (const std::string& name : io.inputs) fed.insert(g.value(name).node);
  std::set<Value> dead;
  std::set<NodeId> dead_nodes;
  std::vector<NodeId> switches;
  for (NodeId id : g.ids()) {
    const Node& n = g.node(id);
    if (n.op != "Switch" || n.inputs.size() != 2) continue;
    if (const Tensor* p = predicate(g, n.inputs[1], fed)) {
      dead.insert({id, p->data<bool>()[0] ? 0 : 1});
      switches.push_back(id);
    }
  }
  if (switches.empty()) return false;
  for (NodeId id : g.topological_order()) {
    const Node& n = g.node(id);
    auto is_dead = [&](Value v) { return dead.contains(v) || dead_nodes.contains(v.node); };
    // A Merge lives on one live input, whatever its controls are.
    const bool merge = n.op == "Merge";
    bool gone =
        merge ? std::all_of(n.inputs.begin(), n.inputs.end(), is_dead) : std::any_of(n.inputs.begin(), n.inputs.end(), is_dead);
    gone =
        gone || (!merge && std::any_of(n.controls.begin(), n.controls.end(), [&](NodeId c) { return dead_nodes.contains(c); }));
    if (gone) dead_nodes.insert(id);
  }
  for (NodeId id : g.ids()) {
    const Node& n = g.node(id);
    if (n.op != "Merge" || dead_nodes.contains(id)) continue;
    std::vector<size_t> alive;
    for (size_t i = 0; i < n.inputs.size(); ++i)
      if (!dead.contains(n.inputs[i]) && !dead_nodes.contains(n.inputs[i].node)) alive.push_back(i);
    if (alive.size() != 1 || alive.size() == n.inputs.size()) continue;
    g.replace_uses({id, 1}, g.add_const(n.name + "/value_index", Tensor::scalar(static_cast<int32_t>(alive[0]))));
    Node& merge = g.node(id);
    merge.op = "Identity";
    merge.inputs = {merge.inputs[alive[0]]};
    merge.attrs.erase("N");
    std::erase_if(merge.controls, [&](NodeId c) { return dead_nodes.contains(c); });
  }
  for (NodeId id : switches) {
    if (dead_nodes.contains(id)) continue;
    Value data = g.node(id).inputs[0];
    g.replace_uses({id, 0}, data);
    g.replace_uses({id, 1}, data);
  }
  sweep(g, io);
  return true;
}

}  // namespace cytodet
