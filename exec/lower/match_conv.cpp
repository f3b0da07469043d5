#include <algorithm>

#include "exec/lower/match.h"

namespace cytodet::exec {
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

// What a convolution reads and multiplies by; nothing when its filter is not known.
struct Operands {
  Value input;
  Tensor filter;
  std::optional<QuantConv> quant;
  std::vector<float> factors;
  std::vector<NodeId> nodes;  // of the way from the input to the convolution
};
// A constant per channel that multiplies the input right before it is coded joins the coding.
void absorb_factors(const Lowering& low, NodeId quantize, Operands& from) {
  const Node& mul = low.graph.node(from.input.node);
  if (mul.op != "Mul" || from.input.slot != 0 || low.taken(from.input.node) || low.sole_reader(from.input) != quantize) return;
  for (size_t i = 0; i < 2; ++i) {
    const Tensor* factors = low.constant(mul.inputs[i]);
    const Shape* shape = low.float_shape(mul.inputs[1 - i]);
    if (!factors || !shape || shape->empty() || factors->dtype() != DType::f32 || factors->rank() < 1) continue;
    if (factors->size() != shape->back() || factors->dim(-1) != shape->back()) continue;
    from.nodes.push_back(from.input.node);
    from.factors.assign(factors->data<float>(), factors->data<float>() + factors->size());
    from.input = mul.inputs[1 - i];
    return;
  }
}

bool only_convolutions_read(const Lowering& low, Value number) {
  const auto readers = low.absorbable_uses(number);
  return std::all_of(readers.begin(), readers.end(), [&](Consumers::Use u) { return is_quantized(low.graph, u.node); });
}

std::optional<Operands> operands(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.inputs.size() != 2) return {};
  if (std::optional<QuantConv> q = quantized(low.graph, id); q && !low.is_wanted(n.inputs[0])) {
    const NodeId dequantize = n.inputs[0].node, quantize = low.graph.node(dequantize).inputs[0].node;
    Operands from{q->input, dequantize_weights(q->weights), q, {}, {}};
    if (only_convolutions_read(low, n.inputs[0])) from.nodes = {dequantize, quantize};
    absorb_factors(low, quantize, from);
    return from;
  }
  const Tensor* filter = low.constant(n.inputs[1]);
  if (!filter) return {};
  return Operands{n.inputs[0], *filter, {}, {}, {}};
}

// Geometry of a convolution. Where zeros are padded before a VALID one, it reads what is padded, and pads by itself.
std::optional<ConvShape> padded_shape(const Lowering& low, NodeId id, Operands& from) {
  const bool valid = low.graph.node(id).attr_or<std::string>("padding", "") == "VALID";
  const std::optional<ZeroPad> pad = valid ? zero_pad_before(low, from.input) : std::nullopt;
  if (!pad) return conv_shape(low, id, from.input, {id, 0}, from.filter);
  std::optional<ConvShape> s = conv_shape(low, id, pad->input, {id, 0}, from.filter);
  if (!s) return {};
  if (low.sole_reader(from.input) >= 0) from.nodes.push_back(pad->node);
  from.input = pad->input;
  s->pad_top = pad->top;
  s->pad_bottom = pad->bottom;
  s->pad_left = pad->left;
  s->pad_right = pad->right;
  return s;
}

void take(Lowering& low, NodeId id, const Operands& from, const Tail& tail) {
  low.take(with(id, tail.nodes));
  low.take(from.nodes);
}

}  // namespace

bool match_dense_conv(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Conv2D") return false;
  std::optional<Operands> from = operands(low, id);
  if (!from) return false;
  std::optional<ConvShape> shape = padded_shape(low, id, *from);
  if (!shape || from->filter.dim(2) != shape->in_c) return false;
  require_finite(from->filter, n.name);
  Tail tail = absorb_tail(low, {id, 0}, shape->out_c, true);
  Layer layer;
  layer.input = from->input;
  layer.dense = DenseConv{*shape, from->filter, tail.bias, tail.act, from->quant, from->factors};
  set_tail(layer, tail);
  take(low, id, *from, tail);
  low.layers.push_back(std::move(layer));
  return true;
}

bool match_matmul(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "MatMul" || n.attr_or("transpose_a", false)) return false;
  std::optional<Operands> from = operands(low, id);
  if (!from) return false;
  const Tensor* b = &from->filter;
  const Shape* in = low.float_shape(from->input);
  const Shape* out = low.float_shape({id, 0});
  if (b->dtype() != DType::f32 || b->rank() != 2 || !in || !out || in->size() != 2 || elements(*in) == 0 || elements(*out) == 0)
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
  layer.input = from->input;
  layer.dense = DenseConv{s, weights.reshaped({1, 1, s.in_c, s.out_c}), tail.bias, tail.act, from->quant, from->factors};
  set_tail(layer, tail);
  take(low, id, *from, tail);
  low.layers.push_back(std::move(layer));
  return true;
}

bool match_depthwise(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "DepthwiseConv2dNative") return false;
  std::optional<Operands> from = operands(low, id);
  if (!from || from->filter.rank() != 4 || from->filter.dim(3) != 1) return false;
  std::optional<ConvShape> shape = padded_shape(low, id, *from);
  if (!shape || from->filter.dim(2) != shape->in_c) return false;
  require_finite(from->filter, n.name);
  Tail tail = absorb_tail(low, {id, 0}, shape->out_c, false);
  Layer layer;
  layer.input = from->input;
  layer.depthwise = DepthwiseConv{*shape, from->filter, tail.bias, tail.act, from->quant, from->factors};
  set_tail(layer, tail);
  take(low, id, *from, tail);
  low.layers.push_back(std::move(layer));
  return true;
}

}  // namespace cytodet::exec
