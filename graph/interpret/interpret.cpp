#include <algorithm>

#include "core/error.h"
#include "graph/interpret/control_flow.h"
#include "graph/ir/op.h"

namespace cytodet::graph {
namespace {

// Nodes that the fetches need, inputs first (but for the back edges of loops); feeds cut the walk. Throws Error on a cycle.
std::vector<NodeId> needed_order(const Graph& graph, const Feeds& feeds, const std::vector<Value>& fetches) {
  enum : char { fresh, open, done };
  std::vector<char> state(static_cast<size_t>(graph.capacity()), fresh);
  std::vector<NodeId> order;
  std::vector<std::pair<NodeId, size_t>> stack;
  auto visit = [&](NodeId id) {
    char& s = state[static_cast<size_t>(id)];
    if (s == open)
      throw Error("node " + graph.node(id).name + " (" + graph.node(id).op + ")", "is on a cycle", "the graph must be acyclic");
    if (s == fresh) {
      s = open;
      stack.emplace_back(id, 0);
    }
  };
  std::vector<NodeId> roots;  // fetches, then the ends of back edges
  for (Value fetch : fetches)
    if (!feeds.contains(fetch)) roots.push_back(fetch.node);
  for (size_t r = 0; r < roots.size(); ++r) {
    visit(roots[r]);
    while (!stack.empty()) {
      auto& [id, next] = stack.back();
      const Node& n = graph.node(id);
      if (next < n.inputs.size() + n.controls.size()) {
        size_t i = next++;
        if (i < n.inputs.size() && feeds.contains(n.inputs[i])) continue;
        NodeId from = i < n.inputs.size() ? n.inputs[i].node : n.controls[i - n.inputs.size()];
        if (n.op == "Merge" && graph.node(from).op == "NextIteration")
          roots.push_back(from);
        else if (state[static_cast<size_t>(from)] != done)
          visit(from);
      } else {
        state[static_cast<size_t>(id)] = done;
        order.push_back(id);
        stack.pop_back();
      }
    }
  }
  return order;
}

}  // namespace

std::vector<Tensor> interpret(const Graph& graph, const Feeds& feeds, const std::vector<Value>& fetches,
                              const Evaluator& evaluator) {
  std::vector<NodeId> order = needed_order(graph, feeds, fetches);
  if (has_control_flow(graph, order)) return run_control_flow(graph, order, feeds, fetches, evaluator);
  std::map<Value, int> uses;
  for (NodeId id : order)
    for (Value v : graph.node(id).inputs) ++uses[v];
  for (Value v : fetches) ++uses[v];
  std::map<Value, Tensor> values(feeds.begin(), feeds.end());
  for (NodeId id : order) {
    const Node& n = graph.node(id);
    if (values.contains({id, 0}) && n.op == "Placeholder") continue;
    std::vector<Tensor> in;
    for (Value v : n.inputs) {
      auto it = values.find(v);
      if (it == values.end())
        throw Error("node " + n.name + " (" + n.op + ")",
                    "input " + graph.name_of(v) + " has no value: its node gives fewer outputs");
      in.push_back(it->second);
      if (--uses[v] == 0 && !feeds.contains(v)) values.erase(it);
    }
    std::vector<Tensor> out = evaluator(n, in);
    for (size_t slot = 0; slot < out.size(); ++slot)
      if (Value v{id, static_cast<int>(slot)}; uses.contains(v) && !feeds.contains(v)) values[v] = std::move(out[slot]);
  }
  std::vector<Tensor> results;
  for (Value v : fetches) {
    auto it = values.find(v);
    if (it == values.end()) throw Error("output " + graph.name_of(v), "the node gives fewer outputs");
    results.push_back(it->second);
  }
  return results;
}

}  // namespace cytodet::graph
