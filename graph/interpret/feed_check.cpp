#include "graph/interpret/feed_check.h"

#include "core/error.h"
#include "graph/io/file_kind.h"

namespace cytodet::graph {

void check_feed(const Graph& graph, Value value, const Tensor& tensor) {
  const Node& n = graph.node(value.node);
  if (n.op != "Placeholder" && n.op != "PlaceholderWithDefault") return;
  const std::string where = "input " + n.name;
  const DType type = n.attr_or("dtype", DType::invalid);
  if (type != DType::invalid && tensor.dtype() != type)
    throw Error(where, "is fed " + name_of(tensor.dtype()) + ", but the graph takes " + name_of(type), "feed " + name_of(type));
  const ShapeAttr* shape = n.find_attr<ShapeAttr>("shape");
  if (shape && !shape->admits(tensor.shape()))
    throw Error(where, "is fed " + to_string(tensor.shape()) + ", but the graph takes " + to_string(shape->dims),
                "feed a tensor of that shape");
}

std::string first_variable(const Graph& graph) {
  static const char* const kVariables[] = {"Variable", "VariableV2", "VarHandleOp", "ReadVariableOp", "AutoReloadVariable"};
  for (NodeId id : graph.ids())
    for (const char* op : kVariables)
      if (graph.node(id).op == op) return graph.node(id).name;
  return {};
}

void require_frozen(const Graph& graph, const std::vector<std::string>& outputs) {
  if (first_variable(graph).empty()) return;
  Graph needed = graph;
  std::vector<NodeId> keep;
  for (const std::string& name : outputs) keep.push_back(needed.value(name).node);
  needed.sweep(keep);
  if (const std::string name = first_variable(needed); !name.empty())
    throw Error("node " + name, "is a variable, whose value lies in a checkpoint: the graph is not frozen", kFreezeAdvice);
}

}  // namespace cytodet::graph
