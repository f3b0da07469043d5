#include "graph/ops/window.h"

#include "graph/ir/conv_node.h"

namespace cytodet::graph::ops {
namespace {

constexpr int64_t huge = 1 << 20;

Tensor permuted(const Tensor& x, const std::vector<size_t>& perm) {
  Shape s;
  std::vector<int64_t> own = strides_of(x.shape()), strides;
  for (size_t p : perm) {
    s.push_back(x.shape()[p]);
    strides.push_back(own[p]);
  }
  Tensor out(x.dtype(), s);
  walk(s, {strides}, [&](int64_t i, const int64_t* at) { copy_element(out, i, x, at[0]); });
  return out;
}

void pad_side(const Node& n, Side& s, size_t spatial_index, size_t rank) {
  const int64_t extent = (s.kernel - 1) * s.dilation + 1;
  const std::string padding = n.attr<std::string>("padding");
  int64_t whole = s.in;
  if (padding == "SAME") {
    s.out = s.in < 0 ? -1 : (s.in + s.stride - 1) / s.stride;
    const int64_t missing = s.in < 0 ? 0 : (s.out - 1) * s.stride + extent - s.in;
    // Windows that skip elements begin at the edge of the map; TensorFlow's patches of volumes alone begin inside it.
    s.before = (n.op == "ExtractVolumePatches" ? missing : std::max<int64_t>(0, missing)) / 2;
    return;
  }
  if (padding == "EXPLICIT") {
    const AttrList pads = n.attr_or("explicit_paddings", AttrList{});
    need(pads.ints.size() == 2 * rank, "explicit_paddings must have " + std::to_string(2 * rank) + " numbers");
    const size_t at = 2 * (spatial_index + (channels_first(n) ? 2 : 1));
    s.before = pads.ints[at];
    need(s.before >= 0 && s.before < huge && pads.ints[at + 1] >= 0 && pads.ints[at + 1] < huge, "a padding is out of range");
    if (whole >= 0) whole += s.before + pads.ints[at + 1];
  } else {
    need(padding == "VALID", "padding " + padding + " is not supported");
  }
  s.out = whole < 0 ? -1 : whole >= extent ? (whole - extent) / s.stride + 1 : 0;
}

}  // namespace

Shape Windows::out_shape(int64_t n, int64_t c, size_t rank) const {
  Shape s{n};
  for (size_t i = rank == 5 ? 0 : 1; i < 3; ++i) s.push_back(side[i].out);
  s.push_back(c);
  return s;
}

bool channels_first(const Node& n) {
  need(is_channels_first(n) || is_channels_last(n), "data format " + data_format(n) + " is not supported");
  return is_channels_first(n);
}

Tensor to_last(const Tensor& x, bool first) {
  if (!first) return x;
  std::vector<size_t> perm{0};
  for (size_t d = 2; d < x.shape().size(); ++d) perm.push_back(d);
  perm.push_back(1);
  return permuted(x, perm);
}
Tensor from_last(const Tensor& x, bool first) {
  if (!first) return x;
  std::vector<size_t> perm{0, x.shape().size() - 1};
  for (size_t d = 1; d + 1 < x.shape().size(); ++d) perm.push_back(d);
  return permuted(x, perm);
}

std::vector<int64_t> spatial_attr(const Node& n, const char* name, size_t rank) {
  std::vector<int64_t> ones(rank - 2, 1);
  if (!name || !n.has_attr(name)) return ones;
  const AttrList& list = n.attr<AttrList>(name);
  if (list.ints.empty()) return ones;
  need(list.ints.size() == rank, std::string(name) + " must have " + std::to_string(rank) + " numbers");
  const int first = channels_first(n) ? 2 : 1;
  return {list.ints.begin() + first, list.ints.begin() + first + static_cast<long>(rank) - 2};
}

Windows windows_with(const Node& n, const Shape& in, const Shape& kernel, const std::vector<int64_t>& strides,
                     const std::vector<int64_t>& dilations) {
  need(in.size() >= 2 && in.size() <= 3 && kernel.size() == in.size() && strides.size() == in.size() &&
           dilations.size() == in.size(),
       "map, window and strides differ in rank");
  Windows w;
  for (size_t i = 0; i < in.size(); ++i) {
    Side& s = w.side[i + 3 - in.size()];
    s = {in[i], kernel[i], strides[i], dilations[i]};
    need(s.kernel > 0 && s.stride > 0 && s.dilation > 0, "window, strides and dilations must be positive");
    need(s.kernel < huge && s.stride < huge && s.dilation < huge, "window, strides or dilations are huge");
    pad_side(n, s, i, in.size() + 2);
  }
  return w;
}

Windows windows(const Node& n, const Shape& in, const Shape& kernel, const WindowAttrs& attrs) {
  return windows_with(n, in, kernel, spatial_attr(n, attrs.strides, in.size() + 2),
                      spatial_attr(n, attrs.dilations, in.size() + 2));
}

void check_map(const Node& n, const Tensor& x) {
  const int rank = n.op.find("3D") != std::string::npos || n.op == "ExtractVolumePatches" ? 5 : 4;
  need(x.rank() == rank, "needs a map of " + std::to_string(rank) + " dimensions, not " + to_string(x.shape()));
}

void infer_windows(InferCall& call, const Shape& kernel, int64_t channels, const WindowAttrs& attrs) {
  call.out = {fact(call.in[0].dtype)};
  const Shape* s = known(call, 0);
  if (!s || s->size() < 4 || s->size() > 5) return;
  const bool first = channels_first(call.node);
  const size_t rank = s->size(), from = first ? 2 : 1, channel = first ? 1 : rank - 1;
  Shape out(rank, -1);
  out[0] = (*s)[0];
  out[channel] = channels >= 0 ? channels : (*s)[channel];
  if (kernel.size() == rank - 2 && is_static(kernel)) {
    const Windows w = windows(
        call.node, Shape(s->begin() + static_cast<long>(from), s->begin() + static_cast<long>(from + rank - 2)), kernel, attrs);
    for (size_t i = 0; i + 2 < rank; ++i) out[from + i] = w.side[i + 5 - rank].out;
  }
  call.out[0].shape = out;
}

}  // namespace cytodet::graph::ops
