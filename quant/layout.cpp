#include "quant/layout.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace cytodet::quant {
namespace {

Value transpose(Graph& graph, const std::string& name, Value x, const std::vector<int32_t>& order) {
  Node n;
  n.name = graph.unique_name(name);
  n.op = "Transpose";
  n.inputs = {x, graph.add_const(name + "/order", Tensor::from({4}, order))};
  n.attrs["T"] = DType::f32;
  n.attrs["Tperm"] = DType::i32;
  return {graph.add(std::move(n)), 0};
}

}  // namespace

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

NodeId put_channels_last(Graph& graph, NodeId id) {
  Node last = graph.node(id);
  last.name = graph.unique_name(last.name + "/channels_last");
  last.attrs["data_format"] = std::string("NHWC");
  for (const auto& [key, width] : {std::pair{"strides", size_t{1}}, {"dilations", size_t{1}}, {"explicit_paddings", size_t{2}}}) {
    AttrList list = last.attr_or(key, AttrList{});
    if (list.ints.size() != 4 * width) continue;
    // n, c, h, w -> n, h, w, c
    std::rotate(list.ints.begin() + static_cast<std::ptrdiff_t>(width),
                list.ints.begin() + static_cast<std::ptrdiff_t>(2 * width), list.ints.end());
    last.attrs[key] = list;
  }
  last.inputs[0] = transpose(graph, last.name + "/input", last.inputs[0], {0, 2, 3, 1});
  const std::string name = graph.node(id).name;
  const NodeId conv = graph.add(std::move(last));
  const Value order = graph.add_const(name + "/order", Tensor::from<int32_t>({4}, {0, 3, 1, 2}));
  Node& first = graph.node(id);
  first.op = "Transpose";
  first.inputs = {{conv, 0}, order};
  first.attrs.clear();
  first.attrs["T"] = DType::f32;
  first.attrs["Tperm"] = DType::i32;
  return conv;
}

}  // namespace cytodet::quant
