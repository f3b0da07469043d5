#include "graph/layout/put_channels_last.h"

#include <algorithm>
#include <vector>

#include "graph/io/builder.h"
#include "graph/ir/conv_node.h"

namespace cytodet::graph {
namespace {

// Ops with a data_format, and which input is the map.
struct MapOp {
  const char* op;
  size_t map;
};
constexpr MapOp kMapOps[] = {
    {"AvgPool", 0},
    {"AvgPool3D", 0},
    {"BiasAdd", 0},
    {"Conv2D", 0},
    {"Conv2DBackpropInput", 2},
    {"Conv3D", 0},
    {"DepthToSpace", 0},
    {"DepthwiseConv2dNative", 0},
    {"FusedBatchNorm", 0},
    {"FusedBatchNormV2", 0},
    {"FusedBatchNormV3", 0},
    {"MaxPool", 0},
    {"MaxPool3D", 0},
    {"SpaceToDepth", 0},
};

const MapOp* map_op(const std::string& op) {
  const auto* found = std::find_if(std::begin(kMapOps), std::end(kMapOps), [&](const MapOp& m) { return op == m.op; });
  return found == std::end(kMapOps) ? nullptr : found;
}

// A list with `width` numbers for each dimension, in another order of the dimensions: first those of dimension perm[0].
std::vector<int64_t> permuted(const std::vector<int64_t>& list, const std::vector<int64_t>& perm, int64_t width) {
  std::vector<int64_t> out;
  for (int64_t d : perm) out.insert(out.end(), list.begin() + d * width, list.begin() + (d + 1) * width);
  return out;
}

Value int32s(Graph& graph, const std::string& name, const std::vector<int64_t>& values) {
  const std::vector<int32_t> list(values.begin(), values.end());
  return graph.add_const(name, Tensor::from({static_cast<int64_t>(list.size())}, list));
}

AttrMap transpose_attrs() { return {{"T", DType::f32}, {"Tperm", DType::i32}}; }

}  // namespace

int64_t channels_first_rank(const Graph& graph, const Facts& facts, NodeId id) {
  const Node& n = graph.node(id);
  const MapOp* op = map_op(n.op);
  if (!op || !is_channels_first(n) || n.inputs.size() <= op->map || n.attr_or("T", DType::f32) != DType::f32) return 0;
  const std::optional<Shape>& shape = facts.of(n.inputs[op->map]).shape;
  if (!shape || (shape->size() != 4 && shape->size() != 5)) return 0;
  const auto rank = static_cast<int64_t>(shape->size());
  if (op->map != 2) return rank;
  const Tensor* sizes = graph.constant(n.inputs[0]);  // of a deconvolution's result: they are permuted too
  return sizes && sizes->dtype() == DType::i32 && sizes->size() == rank ? rank : 0;
}

NodeId put_channels_last(Graph& graph, NodeId id, int64_t rank) {
  const std::vector<int64_t> to_last = Builder::last_perm(rank), from_last = Builder::first_perm(rank);
  Node last = graph.node(id);
  const size_t map = map_op(last.op)->map;
  last.name = graph.unique_name(last.name + "/channels_last");
  last.attrs["data_format"] = std::string(rank == 5 && last.op != "BiasAdd" ? "NDHWC" : "NHWC");
  for (const auto& [key, width] : {std::pair{"strides", int64_t{1}}, {"dilations", 1}, {"ksize", 1}, {"explicit_paddings", 2}}) {
    AttrList list = last.attr_or(key, AttrList{});
    if (static_cast<int64_t>(list.ints.size()) != rank * width) continue;
    list.ints = permuted(list.ints, to_last, width);
    last.attrs[key] = list;
  }
  const Value order = int32s(graph, last.name + "/input/order", to_last);
  last.inputs[map] = graph.add_new(last.name + "/input", "Transpose", {last.inputs[map], order}, transpose_attrs());
  if (map == 2)
    last.inputs[0] = int32s(graph, last.name + "/sizes", permuted(graph.constant(last.inputs[0])->as_ints(), to_last, 1));
  const NodeId moved = graph.add(std::move(last));
  // Other outputs, such as the mean of a batch norm, have no dimensions to permute.
  const Consumers uses(graph);
  for (const Consumers::Use use : uses.of(id))
    if (use.input >= 0 && graph.node(use.node).inputs[static_cast<size_t>(use.input)].slot > 0)
      graph.node(use.node).inputs[static_cast<size_t>(use.input)].node = moved;
  const Value back = int32s(graph, graph.node(moved).name + "/order", from_last);
  Node& first = graph.node(id);
  first.op = "Transpose";
  first.inputs = {{moved, 0}, back};
  first.attrs = transpose_attrs();
  return moved;
}

}  // namespace cytodet::graph
