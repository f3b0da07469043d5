#include "exec/lower/conv_tail.h"
#include "exec/lower/match.h"

namespace cytodet::exec {
namespace {

// Relu | Relu6 | Sigmoid ─▶ Pad zeros ─▶ MaxPool(VALID): no value is negative, so the pooling need not look at the zeros.
std::optional<ZeroPad> harmless_pad(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "MaxPool" || n.attr_or<std::string>("padding", "") != "VALID") return {};
  const std::optional<ZeroPad> pad = zero_pad_before(low, n.inputs[0]);
  if (!pad || low.sole_reader(n.inputs[0]) < 0) return {};
  const std::string& op = low.graph.node(pad->input.node).op;
  return op == "Relu" || op == "Relu6" || op == "Sigmoid" ? pad : std::nullopt;
}

// Geometry of a pooling over height, width and depth whose windows all touch the map.
std::optional<ConvShape> pool_shape(const Lowering& low, NodeId id, const std::optional<ZeroPad>& pad) {
  const Node& n = low.graph.node(id);
  if (n.inputs.size() != 1 || low.constant(n.inputs[0])) return {};
  const std::vector<int64_t> k = n.attr_or("ksize", AttrList{}).ints;
  if (k.size() < 4 || k.front() != 1 || k.back() != 1) return {};
  Shape size(k.begin() + 1, k.end());  // of a filter
  size.back() = 1;
  size.push_back(1);
  const Tensor window = Tensor::view(DType::f32, size, nullptr);
  std::optional<ConvShape> s = conv_shape(low, id, pad ? pad->input : n.inputs[0], {id, 0}, window);
  if (s && pad) set_padding(*s, *pad);
  const auto inside = [](int64_t in, int64_t out, int kernel, int stride, int before) {
    return before < kernel && (out - 1) * stride - before < in;
  };
  if (!s || int64_t{s->depth.kernel} * s->kernel_h > kMaxPoolRows) return {};
  const ConvDepth& d = s->depth;
  if (!inside(s->in_h, s->out_h, s->kernel_h, s->stride_h, s->pad_top) ||
      !inside(s->in_w, s->out_w, s->kernel_w, s->stride_w, s->pad_left) || !inside(d.in, d.out, d.kernel, d.stride, d.pad_front))
    return {};
  return s;
}

}  // namespace

//   x [n, h, w, c] [─▶ Pad zeros] ─▶ MaxPool | AvgPool, or x [n, d, h, w, c] ─▶ MaxPool3D | AvgPool3D, whose windows all touch x
bool match_pool(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const bool average = n.op == "AvgPool" || n.op == "AvgPool3D";
  if (n.op != "MaxPool" && n.op != "MaxPool3D" && !average) return false;
  std::optional<ZeroPad> pad = harmless_pad(low, id);
  std::optional<ConvShape> shape = pool_shape(low, id, pad);
  if (!shape && pad) shape = pool_shape(low, id, pad = {});
  if (!shape) return false;
  if (pad) low.take({pad->node});
  const auto make = [s = *shape, average](const LayerIo& io) { return make_pool(s, average, io.inputs[0], io.output); };
  Layer& layer = claim_rows(low, id, {pad ? pad->input : n.inputs[0]}, make);
  if (!average) layer.movement = DataMovement::same_channels;
  return true;
}

//   x [n, h, w, c] ─▶ ResizeBilinear
bool match_resize_bilinear(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "ResizeBilinear" || low.constant(n.inputs[0])) return false;
  const Shape *in = low.float_shape(n.inputs[0]), *out = low.float_shape({id, 0});
  if (!in || !out || in->size() != 4 || out->size() != 4 || elements(*in) == 0 || elements(*out) == 0) return false;
  if (!fits_tensor(low, n.inputs[0]) || !fits_tensor(low, {id, 0})) return false;
  const auto along = [&](size_t axis) {
    std::vector<BetweenPixels> all;
    for (const ResizeTap& t : resize_taps(n, (*in)[axis], (*out)[axis]))
      all.push_back({static_cast<int32_t>(t.low), static_cast<int32_t>(t.high), t.share});
    return all;
  };
  claim_rows(low, id, {n.inputs[0]}, [shape = *in, rows = along(1), columns = along(2)](const LayerIo& io) {
    return make_bilinear(shape, rows, columns, io.inputs[0], io.output);
  });
  return true;
}

}  // namespace cytodet::exec
