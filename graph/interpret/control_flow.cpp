#include "graph/interpret/control_flow.h"

#include <algorithm>

#include "graph/interpret/tensor_arrays.h"
#include "graph/interpret/tensor_lists.h"

namespace cytodet::graph {

bool has_control_flow(const Graph& graph, const std::vector<NodeId>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [&](NodeId id) {
    const std::string& op = graph.node(id).op;
    return op == "Switch" || op == "Merge" || op == "Enter" || op == "Exit" || op == "NextIteration" ||
           TensorArrays::handles(graph.node(id)) || TensorLists::handles(graph.node(id));
  });
}

}  // namespace cytodet::graph
