// Convolutions and pools. Images are handled as [batch, height, width, channels]; NCHW inputs are transposed in and out.
#include "graph/ops/common.h"

namespace cytodet::ops {
namespace {

std::string format_of(const Node& n) { return n.attr_or<std::string>("data_format", "NHWC"); }
bool channels_first(const Node& n) {
  std::string f = format_of(n);
  need(f == "NHWC" || f == "NCHW", "data format " + f + " is not supported");
  return f == "NCHW";
}

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
Tensor to_last(const Tensor& x, bool first) { return first ? permuted(x, {0, 2, 3, 1}) : x; }
Tensor from_last(const Tensor& x, bool first) { return first ? permuted(x, {0, 3, 1, 2}) : x; }

struct Window {
  int64_t stride_h, stride_w, dilation_h = 1, dilation_w = 1, kernel_h, kernel_w;
  int64_t out_h = 0, out_w = 0, pad_top = 0, pad_left = 0;
};

std::pair<int64_t, int64_t> spatial(const Node& n, const char* name, int64_t fallback) {
  AttrList list = n.attr_or(name, AttrList{});
  if (list.ints.size() != 4) return {fallback, fallback};
  bool first = format_of(n) == "NCHW";
  return {list.ints[first ? 2 : 1], list.ints[first ? 3 : 2]};
}

void pad_side(const Node& n, int64_t in, int64_t kernel, int64_t stride, int64_t dilation, bool vertical, int64_t& out, int64_t& before) {
  int64_t extent = (kernel - 1) * dilation + 1;
  std::string padding = n.attr<std::string>("padding");
  if (padding == "SAME") {
    out = (in + stride - 1) / stride;
    before = std::max<int64_t>(0, (out - 1) * stride + extent - in) / 2;
  } else if (padding == "VALID") {
    out = in >= extent ? (in - extent) / stride + 1 : 0;
    before = 0;
  } else {
    AttrList pads = n.attr_or("explicit_paddings", AttrList{});
    need(padding == "EXPLICIT" && pads.ints.size() == 8, "padding " + padding + " is not supported");
    size_t at = static_cast<size_t>((format_of(n) == "NCHW" ? 4 : 2) + (vertical ? 0 : 2));
    before = pads.ints[at];
    int64_t whole = in + before + pads.ints[at + 1];
    need(before >= 0 && pads.ints[at + 1] >= 0, "a padding is negative");
    out = whole >= extent ? (whole - extent) / stride + 1 : 0;
  }
}

Window window(const Node& n, int64_t in_h, int64_t in_w, int64_t kernel_h, int64_t kernel_w, bool dilated = true) {
  Window w;
  std::tie(w.stride_h, w.stride_w) = spatial(n, "strides", 1);
  if (dilated) std::tie(w.dilation_h, w.dilation_w) = spatial(n, "dilations", 1);
  w.kernel_h = kernel_h;
  w.kernel_w = kernel_w;
  need(w.stride_h > 0 && w.stride_w > 0 && w.dilation_h > 0 && w.dilation_w > 0 && kernel_h > 0 && kernel_w > 0, "strides, dilations and kernel must be positive");
  need(w.stride_h < 1 << 20 && w.stride_w < 1 << 20 && w.dilation_h < 1 << 20 && w.dilation_w < 1 << 20 && kernel_h < 1 << 20 && kernel_w < 1 << 20, "strides, dilations or kernel are huge");
  pad_side(n, in_h, kernel_h, w.stride_h, w.dilation_h, true, w.out_h, w.pad_top);
  pad_side(n, in_w, kernel_w, w.stride_w, w.dilation_w, false, w.out_w, w.pad_left);
  return w;
}

void check_map(const Tensor& x) { need(x.rank() == 4, "needs a map of 4 dimensions, not " + to_string(x.shape())); }

// f(output y, output x, kernel y, kernel x, input y, input x) over all taps inside the map.
template <class F>
void taps(const Window& w, int64_t in_h, int64_t in_w, F f) {
  for (int64_t y = 0; y < w.out_h; ++y)
    for (int64_t x = 0; x < w.out_w; ++x)
      for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
        int64_t iy = y * w.stride_h - w.pad_top + ky * w.dilation_h;
        if (iy < 0 || iy >= in_h) continue;
        for (int64_t kx = 0; kx < w.kernel_w; ++kx) {
          int64_t ix = x * w.stride_w - w.pad_left + kx * w.dilation_w;
          if (ix >= 0 && ix < in_w) f(y, x, ky, kx, iy, ix);
        }
      }
}

void eval_conv2d(OpCall& call) {
  const Tensor& f = input(call, 1);
  check_map(input(call, 0));
  check_map(f);
  bool first = channels_first(call.node);
  Tensor x = to_last(call.in[0], first);
  int64_t h = x.dim(1), wd = x.dim(2), c = x.dim(3), fc = f.dim(2), oc = f.dim(3);
  need(x.dtype() == f.dtype(), "input and filter differ in type");
  need(fc > 0 && c % fc == 0 && oc % (c / fc) == 0, "filter " + to_string(f.shape()) + " does not fit input " + to_string(x.shape()));
  Window w = window(call.node, h, wd, f.dim(0), f.dim(1));
  Tensor out(x.dtype(), {x.dim(0), w.out_h, w.out_w, oc});
  int64_t groups = c / fc, group_oc = oc / groups;
  on_floats(x.dtype(), [&]<class T>() {
    using W = wide_t<T>;
    std::vector<W> acc(static_cast<size_t>(out.size()), W(0));
    std::vector<W> weights(static_cast<size_t>(f.size()));
    for (int64_t i = 0; i < f.size(); ++i) weights[static_cast<size_t>(i)] = widen(f.data<T>()[i]);
    for (int64_t n = 0; n < x.dim(0); ++n)
      taps(w, h, wd, [&](int64_t y, int64_t xx, int64_t ky, int64_t kx, int64_t iy, int64_t ix) {
        const T* in = x.data<T>() + ((n * h + iy) * wd + ix) * c;
        W* to = acc.data() + ((n * w.out_h + y) * w.out_w + xx) * oc;
        for (int64_t g = 0; g < groups; ++g)
          for (int64_t i = 0; i < fc; ++i) {
            W v = widen(in[g * fc + i]);
            const W* k = weights.data() + ((ky * w.kernel_w + kx) * fc + i) * oc + g * group_oc;
            W* o = to + g * group_oc;
            for (int64_t j = 0; j < group_oc; ++j) o[j] += v * k[j];
          }
      });
    for (int64_t i = 0; i < out.size(); ++i) out.data<T>()[i] = static_cast<T>(acc[static_cast<size_t>(i)]);
  });
  call.out = {from_last(out, first)};
}

void eval_depthwise(OpCall& call) {
  const Tensor& f = input(call, 1);
  check_map(input(call, 0));
  check_map(f);
  bool first = channels_first(call.node);
  Tensor x = to_last(call.in[0], first);
  int64_t h = x.dim(1), wd = x.dim(2), c = x.dim(3), m = f.dim(3);
  need(x.dtype() == f.dtype() && f.dim(2) == c, "filter " + to_string(f.shape()) + " does not fit input " + to_string(x.shape()));
  Window w = window(call.node, h, wd, f.dim(0), f.dim(1));
  Tensor out(x.dtype(), {x.dim(0), w.out_h, w.out_w, c * m});
  on_floats(x.dtype(), [&]<class T>() {
    using W = wide_t<T>;
    std::vector<W> acc(static_cast<size_t>(out.size()), W(0));
    for (int64_t n = 0; n < x.dim(0); ++n)
      taps(w, h, wd, [&](int64_t y, int64_t xx, int64_t ky, int64_t kx, int64_t iy, int64_t ix) {
        const T* in = x.data<T>() + ((n * h + iy) * wd + ix) * c;
        const T* k = f.data<T>() + (ky * w.kernel_w + kx) * c * m;
        W* to = acc.data() + ((n * w.out_h + y) * w.out_w + xx) * c * m;
        for (int64_t i = 0; i < c; ++i)
          for (int64_t j = 0; j < m; ++j) to[i * m + j] += widen(in[i]) * widen(k[i * m + j]);
      });
    for (int64_t i = 0; i < out.size(); ++i) out.data<T>()[i] = static_cast<T>(acc[static_cast<size_t>(i)]);
  });
  call.out = {from_last(out, first)};
}

// The transpose of Conv2D: every output gradient is scattered through the filter into the input.
void eval_conv2d_backprop_input(OpCall& call) {
  const Tensor& f = input(call, 1);
  check_map(f);
  check_map(input(call, 2));
  bool first = channels_first(call.node);
  Shape s = shape_of(input(call, 0));
  Tensor g = to_last(call.in[2], first);
  if (s.size() == 2) s = first ? Shape{g.dim(0), f.dim(2), s[0], s[1]} : Shape{g.dim(0), s[0], s[1], f.dim(2)};
  need(s.size() == 4, "input_sizes must have 4 numbers");
  if (first) s = {s[0], s[2], s[3], s[1]};
  int64_t h = s[1], wd = s[2], c = s[3], oc = f.dim(3);
  Window w = window(call.node, h, wd, f.dim(0), f.dim(1));
  need(s[0] == g.dim(0) && f.dim(2) == c && g.dim(3) == oc && g.dim(1) == w.out_h && g.dim(2) == w.out_w, "input sizes, filter and gradient do not fit");
  need(g.dtype() == f.dtype(), "filter and gradient differ in type");
  Tensor out(g.dtype(), s);
  on_floats(g.dtype(), [&]<class T>() {
    using W = wide_t<T>;
    std::vector<W> acc(static_cast<size_t>(out.size()), W(0));
    for (int64_t n = 0; n < s[0]; ++n)
      taps(w, h, wd, [&](int64_t y, int64_t xx, int64_t ky, int64_t kx, int64_t iy, int64_t ix) {
        const T* from = g.data<T>() + ((n * w.out_h + y) * w.out_w + xx) * oc;
        W* to = acc.data() + ((n * h + iy) * wd + ix) * c;
        for (int64_t i = 0; i < c; ++i) {
          const T* k = f.data<T>() + ((ky * w.kernel_w + kx) * c + i) * oc;
          for (int64_t j = 0; j < oc; ++j) to[i] += widen(from[j]) * widen(k[j]);
        }
      });
    for (int64_t i = 0; i < out.size(); ++i) out.data<T>()[i] = static_cast<T>(acc[static_cast<size_t>(i)]);
  });
  call.out = {from_last(out, first)};
}

void eval_pool(OpCall& call, bool maximum) {
  check_map(input(call, 0));
  bool first = channels_first(call.node);
  auto [kh, kw] = spatial(call.node, "ksize", 1);
  Tensor x = to_last(call.in[0], first);
  int64_t h = x.dim(1), wd = x.dim(2), c = x.dim(3);
  Window w = window(call.node, h, wd, kh, kw, false);
  Tensor out(x.dtype(), {x.dim(0), w.out_h, w.out_w, c});
  on_numbers(x.dtype(), [&]<class T>() {
    using W = wide_t<T>;
    std::vector<W> acc(static_cast<size_t>(out.size()), maximum ? std::numeric_limits<W>::lowest() : W(0));
    std::vector<int32_t> count(static_cast<size_t>(w.out_h * w.out_w), 0);
    for (int64_t n = 0; n < x.dim(0); ++n)
      taps(w, h, wd, [&](int64_t y, int64_t xx, int64_t, int64_t, int64_t iy, int64_t ix) {
        const T* in = x.data<T>() + ((n * h + iy) * wd + ix) * c;
        W* to = acc.data() + ((n * w.out_h + y) * w.out_w + xx) * c;
        if (n == 0) ++count[static_cast<size_t>(y * w.out_w + xx)];
        for (int64_t i = 0; i < c; ++i) to[i] = maximum ? std::max(to[i], widen(in[i])) : static_cast<W>(to[i] + widen(in[i]));
      });
    for (int64_t i = 0; i < out.size(); ++i) {
      W v = acc[static_cast<size_t>(i)];
      if (!maximum) v = static_cast<W>(v / static_cast<W>(std::max(1, count[static_cast<size_t>(i / c % (w.out_h * w.out_w))])));
      out.data<T>()[i] = static_cast<T>(v);
    }
  });
  call.out = {from_last(out, first)};
}
void eval_max_pool(OpCall& call) { eval_pool(call, true); }
void eval_avg_pool(OpCall& call) { eval_pool(call, false); }

void infer_window(InferCall& call, int64_t kernel_h, int64_t kernel_w, int64_t channels, bool dilated) {
  call.out = {fact(call.in[0].dtype)};
  const Shape* s = known(call, 0);
  if (!s || s->size() != 4) return;
  bool first = channels_first(call.node);
  int64_t h = (*s)[first ? 2 : 1], w = (*s)[first ? 3 : 2], c = channels >= 0 ? channels : (*s)[first ? 1 : 3];
  Shape out(4, -1);
  out[0] = (*s)[0];
  out[first ? 1 : 3] = c;
  if (kernel_h > 0 && kernel_w > 0) {
    Window win = window(call.node, std::max<int64_t>(h, 0), std::max<int64_t>(w, 0), kernel_h, kernel_w, dilated);
    if (h >= 0) out[first ? 2 : 1] = win.out_h;
    if (w >= 0) out[first ? 3 : 2] = win.out_w;
  }
  call.out[0].shape = out;
}
void infer_conv2d(InferCall& call) {
  const Shape* f = known(call, 1);
  if (f && f->size() == 4) infer_window(call, (*f)[0], (*f)[1], (*f)[3], true);
  else call.out = {fact(call.in[0].dtype)};
}
void infer_depthwise(InferCall& call) {
  const Shape* f = known(call, 1);
  if (f && f->size() == 4 && is_static(*f)) infer_window(call, (*f)[0], (*f)[1], (*f)[2] * (*f)[3], true);
  else call.out = {fact(call.in[0].dtype)};
}
void infer_pool(InferCall& call) {
  auto [kh, kw] = spatial(call.node, "ksize", 1);
  infer_window(call, kh, kw, -1, false);
}
void infer_backprop(InferCall& call) {
  call.out = {fact(call.in.size() > 2 ? call.in[2].dtype : DType::invalid)};
  if (call.in[0].constant && call.in[0].constant->size() == 4) call.out[0].shape = call.in[0].constant->as_ints();
}

void eval_dilation2d(OpCall& call) {
  const Tensor &x = input(call, 0), &f = input(call, 1);
  check_map(x);
  need(f.rank() == 3 && f.dim(2) == x.dim(3) && f.dtype() == x.dtype(), "the filter does not fit");
  Window w;
  AttrList strides = call.node.attr<AttrList>("strides"), rates = call.node.attr<AttrList>("rates");
  need(strides.ints.size() == 4 && rates.ints.size() == 4, "strides and rates must have 4 numbers");
  w.stride_h = strides.ints[1], w.stride_w = strides.ints[2], w.dilation_h = rates.ints[1], w.dilation_w = rates.ints[2];
  w.kernel_h = f.dim(0), w.kernel_w = f.dim(1);
  need(w.stride_h > 0 && w.stride_w > 0 && w.dilation_h > 0 && w.dilation_w > 0 && w.kernel_h > 0 && w.kernel_w > 0, "strides and rates must be positive");
  pad_side(call.node, x.dim(1), w.kernel_h, w.stride_h, w.dilation_h, true, w.out_h, w.pad_top);
  pad_side(call.node, x.dim(2), w.kernel_w, w.stride_w, w.dilation_w, false, w.out_w, w.pad_left);
  int64_t c = x.dim(3);
  Tensor out(x.dtype(), {x.dim(0), w.out_h, w.out_w, c});
  on_floats(x.dtype(), [&]<class T>() {
    std::fill_n(out.data<T>(), out.size(), static_cast<T>(std::numeric_limits<wide_t<T>>::lowest()));
    for (int64_t n = 0; n < x.dim(0); ++n)
      taps(w, x.dim(1), x.dim(2), [&](int64_t y, int64_t xx, int64_t ky, int64_t kx, int64_t iy, int64_t ix) {
        for (int64_t i = 0; i < c; ++i) {
          T& to = out.data<T>()[((n * w.out_h + y) * w.out_w + xx) * c + i];
          auto v = widen(x.data<T>()[((n * x.dim(1) + iy) * x.dim(2) + ix) * c + i]) + widen(f.data<T>()[(ky * w.kernel_w + kx) * c + i]);
          if (v > widen(to)) to = static_cast<T>(v);
        }
      });
  });
  call.out = {out};
}

}  // namespace

const std::vector<Op>& conv_rows() {
  static const std::vector<Op> rows = {
      {"AvgPool", infer_pool, eval_avg_pool},
      {"Conv2D", infer_conv2d, eval_conv2d},
      {"Conv2DBackpropInput", infer_backprop, eval_conv2d_backprop_input},
      {"DepthwiseConv2dNative", infer_depthwise, eval_depthwise},
      {"Dilation2D", nullptr, eval_dilation2d},
      {"MaxPool", infer_pool, eval_max_pool},
  };
  return rows;
}

}  // namespace cytodet::ops
