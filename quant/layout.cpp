#include "quant/layout.h"

namespace cytodet::quant {

void store_transposed(Graph& graph, NodeId id) {
  const Node& n = graph.node(id);
  if (n.op != "MatMul" || !n.attr_or("transpose_b", false)) return;
  const Tensor filter = *graph.constant(n.inputs[1]);
  const int64_t rows = filter.dim(0), columns = filter.dim(1);
  Tensor transposed(DType::f32, {columns, rows});
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) transposed.data<float>()[c * rows + r] = filter.data<float>()[r * columns + c];
  const Value stored = graph.add_const(n.name + "/transposed", std::move(transposed));
  graph.node(id).inputs[1] = stored;
  graph.node(id).attrs["transpose_b"] = false;
}

}  // namespace cytodet::quant
