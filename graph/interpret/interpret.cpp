#include "graph/interpret/control_flow.h"
#include "graph/interpret/interpreter.h"
#include "graph/ir/op.h"

namespace cytodet::graph {

std::vector<Tensor> interpret(const Graph& graph, const Feeds& feeds, const std::vector<Value>& fetches,
                              const Evaluator& evaluator) {
  std::vector<Value> fed;
  std::vector<Tensor> tensors;
  for (const auto& [value, tensor] : feeds) {
    fed.push_back(value);
    tensors.push_back(tensor);
  }
  const auto evaluator_of = [&](const Node& node) -> NodeEvaluator {
    return [&](std::span<const Tensor> in) { return evaluator(node, in); };
  };
  return Interpreter(graph, fed, fetches, evaluator_of).run(tensors);
}

}  // namespace cytodet::graph
