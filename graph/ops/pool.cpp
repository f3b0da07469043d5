// Pools, dilation (a pool with a filter), and the patches that windows see.
#include "graph/ops/window.h"

namespace cytodet::graph::ops {
namespace {

constexpr WindowAttrs no_dilation{"strides", nullptr};

// Windows along the channels: TensorFlow has them for MaxPool only, and only without overlap.
void eval_channel_pool(OpCall& call, int64_t kernel, int64_t stride) {
  const Tensor& x = input(call, 0);
  need(kernel == stride && x.dim(3) % kernel == 0 && x.dim(3) > 0, "a window along the channels must divide them");
  Shape s = x.shape();
  s[3] /= kernel;
  Tensor out(x.dtype(), s);
  on_numeric(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < out.size(); ++i) {
      const T* in = x.data<T>() + i * kernel;
      T best = in[0];
      for (int64_t k = 1; k < kernel; ++k)
        if (widen(in[k]) > widen(best)) best = in[k];
      out.data<T>()[i] = best;
    }
  });
  call.out = {out};
}

void pool(OpCall& call, bool maximum, const std::function<Windows(const Tensor&)>& windows_of) {
  const bool first = channels_first(call.node);
  const Tensor x = to_last(input(call, 0), first);
  const Windows w = windows_of(x);
  const int64_t c = x.dim(-1);
  Tensor out(x.dtype(), w.out_shape(x.dim(0), c, x.shape().size()));
  on_numeric(x.dtype(), [&]<class T>() {
    using W = wide_t<T>;
    std::vector<W> acc(static_cast<size_t>(out.size()), maximum ? std::numeric_limits<W>::lowest() : W(0));
    std::vector<int64_t> count(static_cast<size_t>(w.out()), 0);
    const T* data = x.data<T>();
    for (int64_t n = 0; n < x.dim(0); ++n)
      for_taps(w, [&](int64_t o, int64_t, int64_t at) {
        const T* in = data + (n * w.in() + at) * c;
        W* to = acc.data() + (n * w.out() + o) * c;
        if (n == 0) ++count[static_cast<size_t>(o)];
        for (int64_t i = 0; i < c; ++i)
          to[i] = maximum ? std::max(to[i], widen(in[i])) : held<T>(static_cast<W>(wrap(to[i]) + wrap(widen(in[i]))));
      });
    for (int64_t i = 0; i < out.size(); ++i) {
      W v = acc[static_cast<size_t>(i)];
      if (!maximum) v = static_cast<W>(v / static_cast<W>(std::max<int64_t>(1, count[static_cast<size_t>(i / c % w.out())])));
      out.data<T>()[i] = static_cast<T>(v);
    }
  });
  call.out = {from_last(out, first)};
}
void eval_pool(OpCall& call) {
  check_map(call.node, input(call, 0));
  const AttrList k = call.node.attr<AttrList>("ksize"), s = call.node.attr<AttrList>("strides");
  const bool maximum = call.node.op.starts_with("Max");
  if (maximum && !channels_first(call.node) && k.ints.size() == 4 && s.ints.size() == 4 && k.ints[3] > 1)
    return eval_channel_pool(call, k.ints[3], s.ints[3]);
  pool(call, maximum, [&](const Tensor& x) {
    return windows(call.node, spatial(x), spatial_attr(call.node, "ksize", x.shape().size()), no_dilation);
  });
}
void eval_max_pool_v2(OpCall& call) {
  check_map(call.node, input(call, 0));
  const std::vector<int64_t> k = input(call, 1).as_ints(), s = input(call, 2).as_ints();
  need(k.size() == 4 && s.size() == 4, "ksize and strides must have 4 numbers");
  const int at = channels_first(call.node) ? 2 : 1;
  pool(call, true, [&](const Tensor& x) {
    return windows_with(call.node, spatial(x), {k.begin() + at, k.begin() + at + 2}, {s.begin() + at, s.begin() + at + 2},
                        {1, 1});
  });
}
void infer_pool(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  const Shape* s = known(call, 0);
  const AttrList k = call.node.attr<AttrList>("ksize");
  if (!s || s->size() != k.ints.size() || s->size() < 4) return;
  if (!channels_first(call.node) && k.ints.back() > 1) {
    call.out[0].shape = *s;
    if (s->back() >= 0) call.out[0].shape->back() /= k.ints.back();
    return;
  }
  infer_windows(call, spatial_attr(call.node, "ksize", s->size()), -1, no_dilation);
}

void eval_max_pool_argmax(OpCall& call) {
  const Tensor& x = input(call, 0);
  check_map(call.node, x);
  const Windows w = windows(call.node, spatial(x), spatial_attr(call.node, "ksize", 4), no_dilation);
  const int64_t c = x.dim(3), batch_step = call.node.attr_or("include_batch_in_index", false) ? w.in() * c : 0;
  const DType type = call.node.attr_or("Targmax", DType::i64);
  Tensor out(x.dtype(), w.out_shape(x.dim(0), c, 4));
  std::vector<int64_t> index(static_cast<size_t>(out.size()), -1);
  on_numeric(x.dtype(), [&]<class T>() {
    for (int64_t n = 0; n < x.dim(0); ++n)
      for_taps(w, [&](int64_t o, int64_t, int64_t at) {
        for (int64_t i = 0; i < c; ++i) {
          const T v = x.data<T>()[(n * w.in() + at) * c + i];
          const int64_t to = (n * w.out() + o) * c + i;
          if (index[static_cast<size_t>(to)] >= 0 && !(widen(v) > widen(out.data<T>()[to]))) continue;
          out.data<T>()[to] = v;
          index[static_cast<size_t>(to)] = n * batch_step + at * c + i;
        }
      });
  });
  call.out = {out, int_tensor(type, out.shape(), index)};
}
void infer_max_pool_argmax(InferCall& call) {
  infer_pool(call);
  call.out.push_back(fact(call.node.attr_or("Targmax", DType::i64), call.out[0].shape));
}

constexpr WindowAttrs with_rates{"strides", "rates"};

void eval_dilation2d(OpCall& call) {
  const Tensor &x = input(call, 0), &f = input(call, 1);
  check_map(call.node, x);
  need(f.rank() == 3 && f.dim(2) == x.dim(3) && f.dtype() == x.dtype(), "the filter does not fit");
  const Windows w = windows(call.node, spatial(x), {f.dim(0), f.dim(1)}, with_rates);
  const int64_t c = x.dim(3);
  Tensor out(x.dtype(), w.out_shape(x.dim(0), c, 4));
  on_numeric(x.dtype(), [&]<class T>() {
    std::fill_n(out.data<T>(), out.size(), static_cast<T>(std::numeric_limits<wide_t<T>>::lowest()));
    for (int64_t n = 0; n < x.dim(0); ++n)
      for_taps(w, [&](int64_t o, int64_t tap, int64_t at) {
        for (int64_t i = 0; i < c; ++i) {
          T& to = out.data<T>()[(n * w.out() + o) * c + i];
          const auto v =
              static_cast<wide_t<T>>(wrap(widen(x.data<T>()[(n * w.in() + at) * c + i])) + wrap(widen(f.data<T>()[tap * c + i])));
          if (v > widen(to)) to = static_cast<T>(v);
        }
      });
  });
  call.out = {out};
}
void infer_dilation2d(InferCall& call) {
  const Shape* f = known(call, 1);
  infer_windows(call, f && f->size() == 3 ? Shape{(*f)[0], (*f)[1]} : Shape{}, -1, with_rates);
}

void eval_patches(OpCall& call) {
  const Tensor& x = input(call, 0);
  check_map(call.node, x);
  const size_t rank = x.shape().size();
  const Windows w = windows(call.node, spatial(x), spatial_attr(call.node, "ksizes", rank), with_rates);
  const int64_t c = x.dim(-1), depth = elements({w.taps(), c});
  Tensor out(x.dtype(), w.out_shape(x.dim(0), depth, rank));
  for (int64_t n = 0; n < x.dim(0); ++n)
    for_taps(w, [&](int64_t o, int64_t tap, int64_t at) {
      for (int64_t i = 0; i < c; ++i) copy_element(out, (n * w.out() + o) * depth + tap * c + i, x, (n * w.in() + at) * c + i);
    });
  call.out = {out};
}
void infer_patches(InferCall& call) {
  const Shape* s = known(call, 0);
  if (!s || s->size() < 4 || s->size() > 5) {
    call.out = {fact(call.in[0].dtype)};
    return;
  }
  const Shape k = spatial_attr(call.node, "ksizes", s->size());
  infer_windows(call, k, -1, with_rates);
  if (int64_t& depth = call.out[0].shape->back(); depth >= 0) depth *= elements(k);
}

}  // namespace

const std::vector<Op>& pool_ops() {
  static const std::vector<Op> rows = {
      {"AvgPool", infer_pool, eval_pool},
      {"AvgPool3D", infer_pool, eval_pool},
      {"Dilation2D", infer_dilation2d, eval_dilation2d},
      {"ExtractImagePatches", infer_patches, eval_patches},
      {"ExtractVolumePatches", infer_patches, eval_patches},
      {"MaxPool", infer_pool, eval_pool},
      {"MaxPool3D", infer_pool, eval_pool},
      {"MaxPoolV2", [](InferCall& c) { infer_windows(c, {}, -1, no_dilation); }, eval_max_pool_v2},
      {"MaxPoolWithArgmax", infer_max_pool_argmax, eval_max_pool_argmax},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
