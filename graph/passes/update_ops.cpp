#include "graph/passes/passes.h"

namespace cytodet::graph {

// Concat(axis, x...) -> ConcatV2(x..., axis), which kernels and the other passes know.
bool pass_update_ops(Graph& g, const Interface&) {
  bool changed = false;
  for (NodeId id : g.ids()) {
    Node& n = g.node(id);
    if (n.op != "Concat" || n.inputs.size() < 2) continue;
    n.op = "ConcatV2";
    n.inputs.push_back(n.inputs.front());
    n.inputs.erase(n.inputs.begin());
    n.attrs.insert_or_assign("Tidx", DType::i32);
    changed = true;
  }
  return changed;
}

}  // namespace cytodet::graph
