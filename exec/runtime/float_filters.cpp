#include "exec/runtime/float_filters.h"

#include <vector>

#include "graph/ir/conv_node.h"
#include "graph/ir/op.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::exec {
namespace {

bool has_filter_input(const Node& n) {
  return (has_int8_form(n.op) || n.op == "Conv2DBackpropInput" || n.op == "Conv3DBackpropInputV2") && n.inputs.size() >= 2;
}

// What a Dequantize of constants gives, moved or not; empty: it is something else.
std::optional<Tensor> dequantized_constant(const Graph& g, Value v) {
  const Node& n = g.node(v.node);
  if (v.slot != 0 || (n.op != "Dequantize" && n.op != "Reshape" && n.op != "Transpose")) return {};
  std::vector<Tensor> in;
  for (size_t i = 0; i < n.inputs.size(); ++i) {
    const Tensor* t = g.constant(n.inputs[i]);
    std::optional<Tensor> behind;
    if (!t && i == 0 && n.op != "Dequantize") behind = dequantized_constant(g, n.inputs[0]);
    if (!t && !behind) return {};
    in.push_back(t ? *t : *behind);
  }
  return evaluate(n, in).at(0);
}

}  // namespace

std::optional<Graph> with_float_filters(const Graph& graph) {
  std::optional<Graph> copy;
  for (NodeId id : graph.ids()) {
    if (!has_filter_input(graph.node(id)) || graph.constant(graph.node(id).inputs[1]) || is_quantized(graph, id)) continue;
    const std::optional<Tensor> filter = dequantized_constant(graph, graph.node(id).inputs[1]);
    if (!filter) continue;
    if (!copy) copy = graph;
    copy->node(id).inputs[1] = copy->add_const(graph.node(id).name + "/float_filter", *filter);
  }
  return copy;
}

}  // namespace cytodet::exec
