#include "graph/layout/channels_last.h"

#include <algorithm>
#include <numeric>
#include <vector>

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

// [n, c, ...] -> [n, ..., c], for a list with `width` numbers per dimension.
std::vector<int64_t> channels_moved_last(std::vector<int64_t> list, int64_t width = 1) {
  std::rotate(list.begin() + width, list.begin() + 2 * width, list.end());
  return list;
}

Value transpose(Graph& graph, const std::string& name, Value x, const std::vector<int64_t>& order) {
  const std::vector<int32_t> perm(order.begin(), order.end());
  const Value constant = graph.add_const(name + "/order", Tensor::from({static_cast<int64_t>(perm.size())}, perm));
  return graph.add_new(name, "Transpose", {x, constant}, {{"T", DType::f32}, {"Tperm", DType::i32}});
}

}  // namespace

int64_t channels_first_rank(const Graph& graph, const Facts& facts, NodeId id) {
  const Node& n = graph.node(id);
  const MapOp* op = map_op(n.op);
  if (!op || !is_channels_first(n) || n.inputs.size() <= op->map || n.attr_or("T", DType::f32) != DType::f32) return 0;
  const std::optional<Shape>& shape = facts.of(n.inputs[op->map]).shape;
  if (!shape || (shape->size() != 4 && shape->size() != 5)) return 0;
  if (op->map == 2 && !graph.constant(n.inputs[0])) return 0;  // sizes of a deconvolution's result, which are turned too
  return static_cast<int64_t>(shape->size());
}

NodeId put_channels_last(Graph& graph, NodeId id, int64_t rank) {
  Node last = graph.node(id);
  const std::string name = last.name;
  const size_t map = map_op(last.op)->map;
  last.name = graph.unique_name(name + "/channels_last");
  last.attrs["data_format"] = std::string(rank == 5 && last.op != "BiasAdd" ? "NDHWC" : "NHWC");
  for (const auto& [key, width] : {std::pair{"strides", int64_t{1}}, {"dilations", 1}, {"ksize", 1}, {"explicit_paddings", 2}}) {
    AttrList list = last.attr_or(key, AttrList{});
    if (static_cast<int64_t>(list.ints.size()) != rank * width) continue;
    list.ints = channels_moved_last(list.ints, width);
    last.attrs[key] = list;
  }
  std::vector<int64_t> first_to_last(static_cast<size_t>(rank)), last_to_first(static_cast<size_t>(rank));
  std::iota(first_to_last.begin(), first_to_last.end(), 0);
  first_to_last = channels_moved_last(first_to_last);
  for (size_t i = 0; i < first_to_last.size(); ++i)
    last_to_first[static_cast<size_t>(first_to_last[i])] = static_cast<int64_t>(i);
  last.inputs[map] = transpose(graph, last.name + "/input", last.inputs[map], first_to_last);
  if (map == 2) {
    const Tensor& sizes = *graph.constant(last.inputs[0]);
    const std::vector<int64_t> turned = channels_moved_last(sizes.as_ints());
    Tensor t(sizes.dtype(), sizes.shape());
    for (int64_t i = 0; i < t.size(); ++i)
      if (t.dtype() == DType::i64)
        t.data<int64_t>()[i] = turned[static_cast<size_t>(i)];
      else
        t.data<int32_t>()[i] = static_cast<int32_t>(turned[static_cast<size_t>(i)]);
    last.inputs[0] = graph.add_const(last.name + "/sizes", t);
  }
  const Node old = graph.node(id);
  const NodeId turned = graph.add(std::move(last));
  // Other outputs, as the mean of a batch norm, have no dimensions to turn.
  const Consumers uses(graph);
  for (const Consumers::Use use : uses.of(id))
    if (use.input >= 0 && graph.node(use.node).inputs[static_cast<size_t>(use.input)].slot > 0)
      graph.node(use.node).inputs[static_cast<size_t>(use.input)].node = turned;
  const std::vector<int32_t> perm(last_to_first.begin(), last_to_first.end());
  const Value order = graph.add_const(graph.node(turned).name + "/order", Tensor::from({rank}, perm));
  Node& first = graph.node(id);
  first.op = "Transpose";
  first.inputs = {{turned, 0}, order};
  first.attrs = {{"T", DType::f32}, {"Tperm", DType::i32}};
  return turned;
}

}  // namespace cytodet::graph
