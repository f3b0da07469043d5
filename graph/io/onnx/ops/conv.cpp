// Convolutions and their transposes, of one to three spatial dimensions. Maps are brought from [n, c, ...] to [n, ..., c], where
// TensorFlow's ops and the kernels want them, and back.
#include "graph/io/onnx/ops/conv.h"

#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

Shape behind(const Shape& s, long from) { return {s.begin() + from, s.end()}; }

// A filter [o, i, spatial...] as [spatial..., i, o].
std::vector<int64_t> filter_perm(int64_t rank) {
  std::vector<int64_t> perm;
  for (int64_t d = 2; d < rank; ++d) perm.push_back(d);
  perm.push_back(1);
  perm.push_back(0);
  return perm;
}

std::vector<Window> with_line(std::vector<Window> w) {
  if (w.size() == 1) w.insert(w.begin(), Window{1, 1, 1, 1, 0, 0, 1});
  return w;
}

int64_t checked_groups(const Call& c, int64_t in_channels, int64_t out_channels) {
  const int64_t groups = c.integer("group", 1);
  if (groups < 1 || out_channels % groups || (in_channels >= 0 && in_channels % groups))
    refuse("has " + std::to_string(groups) + " groups for " + std::to_string(in_channels) + " and " +
               std::to_string(out_channels) + " channels",
           "the model is damaged");
  return groups;
}

// x [n, ..., c] with a filter [o, c / groups, ...].
Value convolve(Builder& b, Value x, Value filter, const std::vector<Window>& windows, int64_t groups) {
  const Shape f = b.dims(filter);
  AttrMap attrs{{"strides", around(windows, &Window::stride)}, {"dilations", around(windows, &Window::dilation)}};
  if (windows.size() == 3) {
    const bool same = are_same_pads(windows);
    attrs.emplace("padding", same ? "SAME" : "VALID");
    attrs.emplace("data_format", "NDHWC");
    return b.add("Conv3D", {same ? x : padded(b, x, windows), b.transpose(filter, filter_perm(5))}, std::move(attrs));
  }
  attrs.emplace("data_format", "NHWC");
  set_padding(attrs, windows);
  const Value k = b.transpose(filter, filter_perm(4));
  if (groups == 1 || f[1] != 1 || windows[0].stride != windows[1].stride) return b.add("Conv2D", {x, k}, std::move(attrs));
  return b.add("DepthwiseConv2dNative", {x, depthwise_filter(b, k, groups)}, std::move(attrs));
}

void conv(Call& c) {
  const Value w = c.in(1), x = c.in_of_rank(0, c.b.rank(w));
  const Value y = conv_of(c, x, w, c.has(2) ? std::optional(c.in(2)) : std::nullopt);
  c.set(0, y);
}

// The size of a dimension behind a transposed convolution, as an int32 value.
Value grown(Builder& b, Value in, const Window& w, int64_t out_padding) {
  if (w.out >= 0) return b.int32(w.out);
  const int64_t more = w.extent() - w.stride - w.before - w.after + out_padding;
  const Value scaled = b.add("Mul", {b.cast(in, DType::i32), b.int32(w.stride)});
  return b.add("AddV2", {scaled, b.int32(more)});
}

// `w`, a window of a transposed convolution, for a result of `size` (-1: not known), of which windows reach `full`. Its pads
// shorten the result; where `size` is beyond `full`, out_padding grows.
void set_result_size(Window& w, int64_t size, int64_t full, bool more_before, int64_t& out_padding) {
  w.out = size;
  const int64_t total = std::max<int64_t>(0, full - w.out);
  out_padding += std::max<int64_t>(0, w.out - full);
  w.before = more_before ? total - total / 2 : total / 2;
  w.after = total - w.before;
  if (w.out < 1 || w.out - full >= w.stride) refuse("has an output_shape that its windows do not reach", "the model is damaged");
}

// `w` with the pads of its dimension; full -1: not known.
void set_pads(Window& w, int64_t before, int64_t after, int64_t full) {
  w.before = before;
  w.after = after;
  if (w.before < 0 || w.after < 0) refuse("has a padding below 0");
  if (full < 0) return;
  w.out = full - w.before - w.after;
  if (w.out < 1) refuse("has more padding than map", "the model is damaged");
}

// Windows of the transposed convolution of a map with spatial sizes `in`. in, out: of the transposed convolution, so that pads
// shorten the output.
std::vector<Window> transposed_windows(const Call& c, const Shape& in, const Shape& kernel, std::vector<int64_t>& out_padding) {
  const size_t n = in.size();
  out_padding = c.integers("output_padding");
  out_padding.resize(n, 0);
  const std::vector<int64_t> wanted = c.integers("output_shape");
  const std::string automatic = c.text("auto_pad", "NOTSET");
  const bool by_size = !wanted.empty() || automatic.starts_with("SAME");
  const std::vector<int64_t> strides = c.integers("strides"), dilations = c.integers("dilations"), pads = c.integers("pads");
  std::vector<Window> windows;
  for (size_t i = 0; i < n; ++i) {
    Window w{in[i], kernel[i], i < strides.size() ? strides[i] : 1, i < dilations.size() ? dilations[i] : 1};
    if (w.kernel < 1 || w.stride < 1 || w.dilation < 1 || out_padding[i] < 0)
      refuse("has a number out of range", "the model is damaged");
    const int64_t full = w.in < 0 ? -1 : w.stride * (w.in - 1) + w.extent() + out_padding[i];
    if (by_size) {
      if (full < 0) refuse("needs the map's size", "give the model's inputs sizes: --input NAME=1,3,640,640");
      const size_t at = wanted.size() >= n ? wanted.size() - n + i : i;
      const int64_t size = wanted.empty() ? w.in * w.stride : at < wanted.size() ? wanted[at] : -1;
      set_result_size(w, size, full, automatic != "SAME_UPPER", out_padding[i]);
    } else {
      if (!pads.empty() && pads.size() != 2 * n) refuse("has pads of another length", "the model is damaged");
      const bool padded = !pads.empty() && automatic != "VALID";
      set_pads(w, padded ? pads[i] : 0, padded ? pads[n + i] : 0, full);
    }
    windows.push_back(w);
  }
  return windows;
}

// One group: x [n, ..., c], filter [c, o, ...]; its whole reach, of which the padding is cut off.
Value spread(Builder& b, Value x, Value filter, const std::vector<Window>& windows, const std::vector<int64_t>& out_padding) {
  const int64_t rank = static_cast<int64_t>(windows.size()) + 2;
  const Shape f = b.static_dims(filter);
  std::vector<Value> sizes{b.cast(b.dimension(x, 0), DType::i32)};
  const bool plane = rank == 4;
  std::vector<Window> reach = windows;
  for (size_t i = 0; i < windows.size(); ++i) {
    if (!plane) reach[i].before = reach[i].after = 0;
    if (!plane && windows[i].out >= 0) reach[i].out = windows[i].out + windows[i].before + windows[i].after;
    sizes.push_back(grown(b, b.dimension(x, static_cast<int64_t>(i) + 1), reach[i], out_padding[i]));
  }
  sizes.push_back(b.int32(f[1]));
  const Value size = b.add("Pack", sizes, {{"axis", int64_t{0}}});
  AttrMap attrs{{"strides", around(windows, &Window::stride)},
                {"dilations", around(windows, &Window::dilation)},
                {"data_format", plane ? "NHWC" : "NDHWC"}};
  std::vector<Window> forward = reach;  // the convolution whose gradient this is: it reads what is written here
  for (Window& w : forward) w.in = w.out, w.out = -1;
  set_padding(attrs, forward);
  const Value k = b.transpose(filter, filter_perm(rank));
  attrs.emplace("T", b.type(x));
  if (plane) return b.add("Conv2DBackpropInput", {size, k, x}, std::move(attrs));
  attrs.emplace("Tshape", DType::i32);
  Value y = b.add("Conv3DBackpropInputV2", {size, k, x}, std::move(attrs));
  for (size_t i = 0; i < windows.size(); ++i)
    if (windows[i].pads()) y = b.slice(y, static_cast<int64_t>(i) + 1, windows[i].before, windows[i].before + windows[i].out);
  return y;
}

void conv_transpose(Call& c) {
  Value x = c.in(0), w = c.in(1);
  Builder& b = c.b;
  const Shape in = b.dims(x), f = b.static_dims(w);
  const bool line = in.size() == 3;
  if (in.size() < 3 || in.size() > 5 || f.size() != in.size())
    refuse("has a map of " + std::to_string(in.size()) + " dimensions", "3 to 5 are read");
  const int64_t groups = checked_groups(c, in[1], f[0]);
  std::vector<int64_t> out_padding;
  std::vector<Window> windows = with_line(transposed_windows(c, behind(in, 2), behind(f, 2), out_padding));
  if (line) {
    x = as_plane(b, x);
    w = as_plane(b, w);
    out_padding.insert(out_padding.begin(), 0);
  }
  const Value last = b.to_last(x);
  Value y;
  if (groups > 1 && groups == f[0] && f[1] == 1 && windows.size() == 2) {
    std::vector<Value> sizes{b.cast(b.dimension(last, 0), DType::i32)};
    for (size_t i = 0; i < 2; ++i)
      sizes.push_back(grown(b, b.dimension(last, static_cast<int64_t>(i) + 1), windows[i], out_padding[i]));
    sizes.push_back(b.int32(f[0]));
    AttrMap attrs{{"strides", around(windows, &Window::stride)},
                  {"dilations", around(windows, &Window::dilation)},
                  {"data_format", "NHWC"},
                  {"T", b.type(x)}};
    std::vector<Window> forward = windows;
    for (Window& o : forward) o.in = o.out, o.out = -1;
    set_padding(attrs, forward);
    y = b.add("DepthwiseConv2dNativeBackpropInput",
              {b.add("Pack", sizes, {{"axis", int64_t{0}}}), b.transpose(w, {2, 3, 0, 1}), last}, std::move(attrs));
  } else if (groups == 1) {
    y = spread(b, last, w, windows, out_padding);
  } else {
    std::vector<Value> parts;
    const int64_t each = f[0] / groups, axis = static_cast<int64_t>(windows.size()) + 1;
    for (int64_t g = 0; g < groups; ++g)
      parts.push_back(spread(b, b.slice(last, axis, g * each, (g + 1) * each), b.slice(w, 0, g * each, (g + 1) * each), windows,
                             out_padding));
    parts.push_back(b.int32(axis));
    y = b.add("ConcatV2", parts);
  }
  if (c.has(2)) y = b.add("BiasAdd", {y, c.in(2)}, {{"data_format", "NHWC"}});
  y = b.from_last(y);
  c.set(0, line ? as_line(b, y) : y);
}

}  // namespace

Value depthwise_filter(Builder& b, Value k, int64_t groups) {
  const Shape s = b.static_dims(k);
  return b.reshape(k, {s[0], s[1], groups, s[3] / groups});
}

Value conv_of(const Call& c, Value x, Value w, std::optional<Value> bias) {
  Builder& b = c.b;
  const Shape in = b.dims(x), f = b.static_dims(w);
  const bool line = in.size() == 3;
  if (in.size() < 3 || in.size() > 5 || f.size() != in.size())
    refuse("has a map of " + std::to_string(in.size()) + " dimensions", "3 to 5 are read");
  const int64_t groups = checked_groups(c, in[1], f[0]);
  if (in[1] >= 0 && in[1] != f[1] * groups)
    refuse("has a filter for " + std::to_string(f[1] * groups) + " channels on a map of " + std::to_string(in[1]),
           "the model is damaged");
  const std::vector<int64_t> stated = c.integers("kernel_shape");
  if (!stated.empty() && stated != behind(f, 2))
    refuse("has a kernel_shape that its filter does not have", "the model is damaged");
  std::vector<Window> windows = with_line(windows_of(c, behind(in, 2), behind(f, 2)));
  if (line) {
    x = as_plane(b, x);
    w = as_plane(b, w);
  }
  Value y = convolve(b, b.to_last(x), w, windows, groups);
  if (bias) y = b.add("BiasAdd", {y, *bias}, {{"data_format", "NHWC"}});
  y = b.from_last(y);
  return line ? as_line(b, y) : y;
}

const std::vector<OnnxOp>& conv_entries() {
  static const std::vector<OnnxOp> entries = {
      {"Conv", 1, conv},
      {"ConvTranspose", 1, conv_transpose},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
