#include "exec/match.h"

namespace cytodet {
namespace {

void set_tail(Layer& layer, const Tail& tail) {
  layer.output = tail.output;
  layer.root = tail.output.node;
  layer.residual = tail.residual;
  layer.residual_first = tail.residual_first;
}

std::vector<NodeId> with(NodeId first, std::vector<NodeId> rest) {
  rest.push_back(first);
  return rest;
}

}  // namespace

bool match_dense_conv(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Conv2D" || n.inputs.size() != 2) return false;
  const Tensor* filter = low.constant(n.inputs[1]);
  if (!filter) return false;
  std::optional<ConvShape> shape = conv_shape(low, id, n.inputs[0], {id, 0}, *filter);
  if (!shape || filter->dim(2) != shape->in_c) return false;
  require_finite(*filter, n.name);
  Tail tail = absorb_tail(low, {id, 0}, shape->out_c, true);
  Layer layer;
  layer.input = n.inputs[0];
  layer.dense = DenseConv{*shape, *filter, tail.bias, tail.act};
  set_tail(layer, tail);
  low.take(with(id, tail.nodes));
  low.layers.push_back(std::move(layer));
  return true;
}

bool match_matmul(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "MatMul" || n.inputs.size() != 2 || n.attr_or("transpose_a", false)) return false;
  const Tensor* b = low.constant(n.inputs[1]);
  const Shape* in = low.float_shape(n.inputs[0]);
  const Shape* out = low.float_shape({id, 0});
  if (!b || b->dtype() != DType::f32 || b->rank() != 2 || !in || !out || in->size() != 2 || elements(*in) == 0 ||
      elements(*out) == 0)
    return false;
  require_finite(*b, n.name);
  Tensor weights = *b;
  if (n.attr_or("transpose_b", false)) {
    weights = Tensor(DType::f32, {b->dim(1), b->dim(0)});
    for (int64_t i = 0; i < b->dim(0); ++i)
      for (int64_t j = 0; j < b->dim(1); ++j) weights.data<float>()[j * b->dim(0) + i] = b->data<float>()[i * b->dim(1) + j];
  }
  if (weights.dim(0) != (*in)[1]) return false;
  ConvShape s;
  s.in_w = s.out_w = (*in)[0];
  s.in_c = (*in)[1];
  s.out_c = weights.dim(1);
  Tail tail = absorb_tail(low, {id, 0}, s.out_c, true);
  Layer layer;
  layer.input = n.inputs[0];
  layer.dense = DenseConv{s, weights.reshaped({1, 1, s.in_c, s.out_c}), tail.bias, tail.act};
  set_tail(layer, tail);
  low.take(with(id, tail.nodes));
  low.layers.push_back(std::move(layer));
  return true;
}

bool match_depthwise(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "DepthwiseConv2dNative" || n.inputs.size() != 2) return false;
  const Tensor* filter = low.constant(n.inputs[1]);
  if (!filter || filter->rank() != 4 || filter->dim(3) != 1) return false;
  std::optional<ConvShape> shape = conv_shape(low, id, n.inputs[0], {id, 0}, *filter);
  if (!shape || filter->dim(2) != shape->in_c) return false;
  require_finite(*filter, n.name);
  Tail tail = absorb_tail(low, {id, 0}, shape->out_c, false);
  Layer layer;
  layer.input = n.inputs[0];
  layer.depthwise = DepthwiseConv{*shape, *filter, tail.bias, tail.act};
  set_tail(layer, tail);
  low.take(with(id, tail.nodes));
  low.layers.push_back(std::move(layer));
  return true;
}

}  // namespace cytodet
