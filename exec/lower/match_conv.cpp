#include <algorithm>
#include <cstring>

#include "exec/lower/conv_tail.h"
#include "exec/lower/match.h"
#include "exec/steps/grouped_step.h"

namespace cytodet::exec {
namespace {

// What a convolution reads and multiplies by.
struct Operands {
  Value input;
  Tensor filter;
  std::optional<QuantizedConv> quant;
  std::vector<float> factors;
  std::vector<NodeId> nodes;     // of the way from the input to the convolution, and to its result
  Value result = kNoValue;       // of a convolution between SpaceToBatchND and BatchToSpaceND; else its own
  const Tensor* bias = nullptr;  // inside of those
};
// x * constant[channels] -> QuantizeV2: the constant joins the quantization (QuantizeSpec::factors).
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

bool only_convolutions_read(const Lowering& low, Value v) {
  const auto readers = low.absorbable_uses(v);
  return std::all_of(readers.begin(), readers.end(), [&](Consumers::Use u) { return is_quantized(low.graph, u.node); });
}

std::optional<Operands> operands(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.inputs.size() != 2) return {};
  if (std::optional<QuantizedConv> q = quantized_conv(low.graph, id); q && !low.is_wanted(n.inputs[0])) {
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

// Geometry of a convolution. With a Pad of zeros before a VALID one it reads what the Pad reads, and pads by itself.
std::optional<ConvShape> padded_shape(const Lowering& low, NodeId id, Operands& from) {
  from.result = {id, 0};
  if (const std::optional<Dilated> dilated = dilated_by_batches(low, from.input, id)) {
    std::optional<ConvShape> s = conv_shape(low, id, dilated->input, dilated->result, from.filter);
    const bool fits = !dilated->bias || (s && dilated->bias->size() == s->out_c);
    if (s && fits && set_dilation(*s, *dilated)) {
      from.nodes.insert(from.nodes.end(), dilated->after.begin(), dilated->after.end());
      if (low.sole_reader(from.input) >= 0) from.nodes.push_back(dilated->before);
      from.bias = dilated->bias;
      from.input = dilated->input;
      from.result = dilated->result;
      return s;
    }
  }
  const bool valid = low.graph.node(id).attr_or<std::string>("padding", "") == "VALID";
  const std::optional<ZeroPad> pad = valid ? zero_pad_before(low, from.input) : std::nullopt;
  if (!pad) return conv_shape(low, id, from.input, {id, 0}, from.filter);
  std::optional<ConvShape> s = conv_shape(low, id, pad->input, {id, 0}, from.filter);
  if (!s) return {};
  if (low.sole_reader(from.input) >= 0) from.nodes.push_back(pad->node);
  from.input = pad->input;
  set_padding(*s, *pad);
  return s;
}

// The taps [first, last] of a side of a window that touch the map for some result; all where none does.
struct Taps {
  int first, last;
};
Taps touching_taps(int kernel, int dilation, int stride, int before, int64_t in, int64_t out) {
  Taps taps{kernel, -1};
  for (int k = 0; k < kernel; ++k)
    for (int64_t y = 0; y < out; ++y) {
      const int64_t at = y * stride - before + int64_t{k} * dilation;
      if (at < 0 || at >= in) continue;
      taps = {std::min(taps.first, k), k};
      break;
    }
  if (taps.last < 0 || taps.first * dilation > before) taps.first = 0;  // windows begin no later than the map
  if (taps.last < 0) taps.last = kernel - 1;
  return taps;
}

// Rows and columns [first, last] of a filter [h, w, ...].
Tensor cut(const Tensor& filter, Taps rows, Taps columns) {
  const int64_t w = filter.dim(1), inner = filter.size() / (filter.dim(0) * w);
  Shape shape = filter.shape();
  shape[0] = rows.last - rows.first + 1;
  shape[1] = columns.last - columns.first + 1;
  Tensor out(filter.dtype(), shape);
  const auto bytes = static_cast<size_t>(shape[1] * inner) * size_of(filter.dtype());
  for (int64_t y = 0; y < shape[0]; ++y)
    std::memcpy(static_cast<char*>(out.raw()) + static_cast<size_t>(y) * bytes,
                static_cast<const char*>(filter.raw()) +
                    static_cast<size_t>(((rows.first + y) * w + columns.first) * inner) * size_of(filter.dtype()),
                bytes);
  return out;
}

// Taps that only ever read zeros around the map are left out, as most of a strongly dilated convolution of a small map (DeepLab).
void leave_out_padding_taps(Operands& from, ConvShape& s) {
  if (s.is_volume() || from.filter.rank() != 4) return;
  const Taps rows = touching_taps(s.kernel_h, s.dilation_h, s.stride_h, s.pad_top, s.in_h, s.out_h),
             columns = touching_taps(s.kernel_w, s.dilation_w, s.stride_w, s.pad_left, s.in_w, s.out_w);
  const auto narrow = [](Taps taps, int& kernel, int& dilation, int& before, int& after) {
    before -= taps.first * dilation;
    after = std::max(0, after - (kernel - 1 - taps.last) * dilation);
    kernel = taps.last - taps.first + 1;
    if (kernel == 1) dilation = 1;
  };
  if (rows.last - rows.first + 1 == s.kernel_h && columns.last - columns.first + 1 == s.kernel_w) return;
  from.filter = cut(from.filter, rows, columns);
  if (from.quant) {
    Tensor& values = from.quant->weights.values;
    Shape shape = from.filter.shape();
    values = cut(values.reshaped({s.kernel_h, s.kernel_w, values.size() / (int64_t{s.kernel_h} * s.kernel_w)}), rows, columns)
                 .reshaped(shape);
  }
  narrow(rows, s.kernel_h, s.dilation_h, s.pad_top, s.pad_bottom);
  narrow(columns, s.kernel_w, s.dilation_w, s.pad_left, s.pad_right);
}

// What follows the convolution, with the bias that stands inside of SpaceToBatchND and BatchToSpaceND.
Tail tail_of(const Lowering& low, const Operands& from, int64_t channels, bool residual, bool factors = false) {
  Tail tail = absorb_tail(low, from.result, channels, residual, factors);
  for (size_t c = 0; from.bias && c < static_cast<size_t>(channels); ++c)
    tail.bias[c] += from.bias->data<float>()[c] * (tail.factors.empty() ? 1 : tail.factors[c]);
  return tail;
}

// Multiplies the output channels of a convolution, which are the last dimension of its weights.
template <class Conv>
void multiply_channels(Conv& conv, const std::vector<float>& factors) {
  if (factors.empty()) return;
  conv.weights = conv.weights.clone();
  float* weights = conv.weights.template data<float>();
  for (int64_t i = 0; i < conv.weights.size(); ++i) weights[i] *= factors[static_cast<size_t>(i) % factors.size()];
  if (!conv.quant) return;
  std::vector<float>& scales = conv.quant->weights.scales;
  if (scales.size() == 1) scales.assign(factors.size(), scales[0]);
  for (size_t c = 0; c < factors.size(); ++c) scales[c] *= factors[c];
}

// What the layer of `id` takes.
std::vector<NodeId> nodes_of(NodeId id, const Operands& from, const Tail& tail) {
  std::vector<NodeId> nodes{id};
  for (const auto* more : {&tail.nodes, &from.nodes}) nodes.insert(nodes.end(), more->begin(), more->end());
  return nodes;
}

// Adds the layer of convolution `id` with the tail that follows it.
void add_conv(Lowering& low, NodeId id, const Operands& from, const Tail& tail, ConvChain chain) {
  chain.input = from.input;
  chain.residual = tail.residual;
  chain.residual_first = tail.residual_first;
  low.add_layer(tail.output, std::move(chain), nodes_of(id, from, tail));
}

Tensor transposed(const Tensor& m) {
  Tensor out(DType::f32, {m.dim(1), m.dim(0)});
  for (int64_t i = 0; i < m.dim(0); ++i)
    for (int64_t j = 0; j < m.dim(1); ++j) out.data<float>()[j * m.dim(0) + i] = m.data<float>()[i * m.dim(1) + j];
  return out;
}

}  // namespace

//   x [─▶ Pad zeros] ─▶ Conv2D(constant filter) ─▶ tail (conv_tail.h), or x ─▶ Conv3D(constant filter) ─▶ tail
//   x [─▶ Mul factors] ─▶ QuantizeV2 ─▶ Dequantize ─▶ Conv2D(Dequantize(constant)) ─▶ tail     in 8 bits
bool match_dense_conv(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Conv2D" && n.op != "Conv3D") return false;
  std::optional<Operands> from = operands(low, id);
  if (!from) return false;
  std::optional<ConvShape> shape = padded_shape(low, id, *from);
  if (!shape || from->filter.dim(-2) != shape->in_c) return false;
  leave_out_padding_taps(*from, *shape);
  if (from->quant && shape->is_volume() && shape->in_c % k16BitSafeRows != 0) return false;  // no patches of volumes are cut
  require_finite(from->filter, n.name);
  const Tail tail = tail_of(low, *from, shape->out_c, true, true);
  ConvChain chain;
  chain.dense = DenseConv{*shape, from->filter, tail.bias, tail.act, from->quant, from->factors};
  multiply_channels(*chain.dense, tail.factors);
  add_conv(low, id, *from, tail, std::move(chain));
  return true;
}

namespace {

// MatMul and its kin with a constant right side [k, n], of a left side whose sizes are all known, or, where `open`, not all.
struct ConstantProduct {
  Operands from;
  Tensor weights;
};
std::optional<ConstantProduct> constant_product(const Lowering& low, NodeId id, bool open) {
  const Node& n = low.graph.node(id);
  const bool batch = n.op == "BatchMatMul" || n.op == "BatchMatMulV2" || n.op == "BatchMatMulV3";
  if ((n.op != "MatMul" && !batch) || n.attr_or(batch ? "adj_x" : "transpose_a", false)) return {};
  std::optional<Operands> from = operands(low, id);
  if (!from || from->filter.dtype() != DType::f32 || from->filter.rank() != 2) return {};
  const Shape *in = low.open_float_shape(from->input), *out = low.open_float_shape({id, 0});
  if (!in || !out || in->size() < 2 || (!batch && in->size() != 2) || is_static(*in) == open) return {};
  require_finite(from->filter, n.name);
  ConstantProduct product{std::move(*from), {}};
  product.weights = n.attr_or(batch ? "adj_y" : "transpose_b", false) ? transposed(product.from.filter) : product.from.filter;
  return product;
}

// A pointwise convolution of one row of pixels, the rows of the product.
DenseConv dense_of(const ConstantProduct& product, int64_t rows, const Tail& tail) {
  ConvShape s;
  s.in_w = s.out_w = rows;
  s.in_c = product.weights.dim(0);
  s.out_c = product.weights.dim(1);
  DenseConv conv{
      s, product.weights.reshaped({1, 1, s.in_c, s.out_c}), tail.bias, tail.act, product.from.quant, product.from.factors};
  multiply_channels(conv, tail.factors);
  return conv;
}

}  // namespace

//   x [..., k] ─▶ MatMul | BatchMatMul*(constant [k, n]) ─▶ tail; MatMul in 8 bits as match_dense_conv
bool match_matmul(Lowering& low, NodeId id) {
  const std::optional<ConstantProduct> product = constant_product(low, id, false);
  if (!product) return false;
  const Shape *in = low.float_shape(product->from.input), *out = low.float_shape({id, 0});
  if (!in || !out || elements(*in) == 0 || elements(*out) == 0 || product->weights.dim(0) != in->back()) return false;
  const Tail tail = absorb_tail(low, {id, 0}, product->weights.dim(1), true, true);
  ConvChain chain;
  chain.dense = dense_of(*product, elements(*in) / in->back(), tail);
  add_conv(low, id, product->from, tail, std::move(chain));
  return true;
}

//   x [?, k] ─▶ MatMul(constant [k, n]) ─▶ tail: the number of rows is known only when it runs, as that of the boxes that
//   suppression leaves
bool match_open_matmul(Lowering& low, NodeId id) {
  const std::optional<ConstantProduct> product = constant_product(low, id, true);
  if (!product || product->weights.size() == 0) return false;
  const int64_t k = low.open_float_shape(product->from.input)->back();
  if (k >= 0 && k != product->weights.dim(0)) return false;
  const Tail tail = absorb_tail(low, {id, 0}, product->weights.dim(1), true, true);
  DenseConv conv = dense_of(*product, 1, tail);
  conv.open_rows = true;
  const auto make = [conv = std::move(conv)](const LayerIo& io) {
    return make_dense_conv(conv, {.input = io.inputs[0].tensor, .output = io.output});
  };
  low.add_layer(tail.output, Opaque{{product->from.input}, make}, nodes_of(id, product->from, tail));
  return true;
}

//   x [─▶ Pad zeros] ─▶ DepthwiseConv2dNative(constant filter, multiplier 1) ─▶ tail without residual; in 8 bits as
//   match_dense_conv. Or ─▶ Conv2D(constant filter [h, w, 1, c]), which TensorFlow has where the two strides differ.
bool match_depthwise(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const bool by_groups = n.op == "Conv2D";
  if (n.op != "DepthwiseConv2dNative" && !by_groups) return false;
  std::optional<Operands> from = operands(low, id);
  if (!from || from->filter.rank() != 4 || from->filter.dim(by_groups ? 2 : 3) != 1) return false;
  if (by_groups) from->filter = from->filter.reshaped({from->filter.dim(0), from->filter.dim(1), from->filter.dim(3), 1});
  std::optional<ConvShape> shape = padded_shape(low, id, *from);
  if (!shape || from->filter.dim(2) != shape->in_c) return false;
  leave_out_padding_taps(*from, *shape);
  if (shape->kernel_h > kMaxDepthwiseRows) return false;
  require_finite(from->filter, n.name);
  const Tail tail = tail_of(low, *from, shape->out_c, false);
  ConvChain chain;
  chain.depthwise = DepthwiseConv{*shape, from->filter, tail.bias, tail.act, from->quant, from->factors};
  add_conv(low, id, *from, tail, std::move(chain));
  return true;
}

//   x [─▶ Pad zeros] ─▶ Conv2D(constant filter [h, w, c / groups, m]) | DepthwiseConv2dNative(any multiplier) ─▶ tail
//   x ─▶ QuantizeV2 ─▶ Dequantize ─▶ the convolution of a Dequantize(constant) ─▶ tail     reads x fake-quantized
//
// All channels of x are quantized with one scale: a Mul by factors before QuantizeV2 stays a layer of its own.
bool match_grouped(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const bool depthwise = n.op == "DepthwiseConv2dNative";
  if (!depthwise && n.op != "Conv2D") return false;
  std::optional<Operands> from = operands(low, id);
  if (!from || from->filter.rank() != 4) return false;
  if (!from->factors.empty()) {
    from->input = from->quant->input;
    from->factors.clear();
    from->nodes.pop_back();
  }
  const std::optional<ConvShape> shape = padded_shape(low, id, *from);
  if (!shape) return false;
  const int64_t group = depthwise ? 1 : from->filter.dim(2), groups = group > 0 ? shape->in_c / group : 0;
  if (groups < 1 || groups * group != shape->in_c || shape->out_c % groups != 0) return false;
  if (from->filter.size() != shape->taps() * group * shape->out_c) return false;
  require_finite(from->filter, n.name);
  Tail tail = tail_of(low, *from, shape->out_c, true, true);
  // What the layer reads fake-quantized cannot also be its residual, which is added as it is.
  if (from->quant && tail.residual == from->input) tail = tail_of(low, *from, shape->out_c, false, true);
  GroupedConv conv{*shape,     groups,   from->filter.reshaped({shape->kernel_h, shape->kernel_w, group, shape->out_c}),
                   tail.bias,  tail.act, tail.residual_first,
                   from->quant};
  multiply_channels(conv, tail.factors);
  RowOp op{.inputs = {from->input}, .unbounded = true};
  if (tail.residual != kNoValue) op.inputs.push_back(tail.residual);
  op.make = [conv = std::move(conv)](const LayerIo& io) { return make_grouped_conv(conv, io.inputs, io.output); };
  Layer& layer = low.add_layer(tail.output, std::move(op), nodes_of(id, *from, tail));
  if (from->quant) layer.fake_quant[from->input] = from->quant->quant;
  return true;
}

}  // namespace cytodet::exec
