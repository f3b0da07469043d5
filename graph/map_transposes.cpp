#include "graph/map_transposes.h"

#include <algorithm>

namespace cytodet::graph {
namespace {

// The input that a value is, but for its type.
const Node* input_behind(const Graph& graph, Value v) {
  for (int steps = 0; steps < 4; ++steps) {
    const Node& n = graph.node(v.node);
    if (n.op == "Placeholder") return &n;
    if ((n.op != "Cast" && n.op != "QuantizeV2" && n.op != "Dequantize") || n.inputs.empty()) return nullptr;
    v = n.inputs[0];
  }
  return nullptr;
}

std::string text_of(const Node& n) { return n.name + " (" + n.op + ")"; }

std::string reason(const Graph& graph, const Consumers& uses, NodeId id) {
  if (const Node* input = input_behind(graph, graph.node(id).inputs[0]))
    return "input " + input->name + " comes in another order";
  if (uses.of(id).empty()) return "it is an output, whose order is kept";
  return text_of(graph.node(uses.of(id)[0].node)) + " reads " + text_of(graph.node(graph.node(id).inputs[0].node)) +
         " in another order";
}

}  // namespace

std::vector<MapTranspose> map_transposes(const Graph& graph) {
  std::vector<MapTranspose> found;
  const Consumers uses(graph);
  for (NodeId id : graph.ids()) {
    const Node& n = graph.node(id);
    if (n.op != "Transpose" || n.inputs.size() != 2 || graph.constant(n.inputs[0])) continue;
    const Tensor* perm = graph.constant(n.inputs[1]);
    if (perm && perm->size() >= 3) found.push_back({n.name, reason(graph, uses, id)});
  }
  return found;
}

std::string to_text(const std::vector<MapTranspose>& transposes) {
  if (transposes.empty()) return {};
  std::string text =
      std::to_string(transposes.size()) + (transposes.size() == 1 ? " transpose of a map" : " transposes of maps") + ":\n";
  for (const MapTranspose& t : transposes) text += "  " + t.name + ": " + t.why + "\n";
  return text;
}

}  // namespace cytodet::graph
