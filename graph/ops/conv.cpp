// Convolutions of two and three dimensions, and their transposes.
#include "graph/ops/window.h"

namespace cytodet::graph::ops {
namespace {

template <class T, class W>
void store(Tensor& out, const std::vector<W>& acc) {
  for (int64_t i = 0; i < out.size(); ++i) out.data<T>()[i] = static_cast<T>(acc[static_cast<size_t>(i)]);
}

Shape kernel_of(const Tensor& f) { return {f.shape().begin(), f.shape().end() - 2}; }

void eval_conv(OpCall& call) {
  const Tensor& f = input(call, 1);
  check_map(call.node, input(call, 0));
  check_map(call.node, f);
  const bool first = channels_first(call.node);
  const Tensor x = to_last(call.in[0], first);
  const int64_t c = x.dim(-1), fc = f.dim(-2), oc = f.dim(-1);
  need(x.dtype() == f.dtype(), "input and filter differ in type");
  need(fc > 0 && c > 0 && c % fc == 0 && oc % (c / fc) == 0,
       "filter " + to_string(f.shape()) + " does not fit input " + to_string(x.shape()));
  const Windows w = windows(call.node, spatial(x), kernel_of(f), {});
  Tensor out(x.dtype(), w.out_shape(x.dim(0), oc, x.shape().size()));
  const int64_t groups = c / fc, group_oc = oc / groups;
  const bool rounds = x.rank() == 5 && size_of(x.dtype()) == 2;  // in two dimensions TensorFlow sums 16-bit maps in float
  on_numeric(x.dtype(), [&]<class T>() {
    using W = wide_t<T>;
    std::vector<W> acc(static_cast<size_t>(out.size()), W(0)), weights(static_cast<size_t>(f.size()));
    for (int64_t i = 0; i < f.size(); ++i) weights[static_cast<size_t>(i)] = widen(f.data<T>()[i]);
    const T* data = x.data<T>();
    for (int64_t n = 0; n < x.dim(0); ++n)
      for_taps(w, [&](int64_t o, int64_t tap, int64_t at) {
        const T* in = data + (n * w.in() + at) * c;
        W* to = acc.data() + (n * w.out() + o) * oc;
        for (int64_t g = 0; g < groups; ++g)
          for (int64_t i = 0; i < fc; ++i) {
            const W v = widen(in[g * fc + i]);
            const W* k = weights.data() + (tap * fc + i) * oc + g * group_oc;
            W* sum = to + g * group_oc;
            for (int64_t j = 0; j < group_oc; ++j) {
              const W product = static_cast<W>(wrap(v) * wrap(k[j]));
              sum[j] = rounds ? held<T>(sum[j] + held<T>(product)) : static_cast<W>(wrap(sum[j]) + wrap(product));
            }
          }
      });
    store<T>(out, acc);
  });
  call.out = {from_last(out, first)};
}

void eval_depthwise(OpCall& call) {
  const Tensor& f = input(call, 1);
  check_map(call.node, input(call, 0));
  check_map(call.node, f);
  const bool first = channels_first(call.node);
  const Tensor x = to_last(call.in[0], first);
  const int64_t c = x.dim(3), m = f.dim(3);
  need(x.dtype() == f.dtype() && f.dim(2) == c, "filter " + to_string(f.shape()) + " does not fit input " + to_string(x.shape()));
  const Windows w = windows(call.node, spatial(x), kernel_of(f), {});
  Tensor out(x.dtype(), w.out_shape(x.dim(0), elements({c, m}), 4));
  on_floats(x.dtype(), [&]<class T>() {
    using W = wide_t<T>;
    std::vector<W> acc(static_cast<size_t>(out.size()), W(0));
    const T *data = x.data<T>(), *weights = f.data<T>();
    for (int64_t n = 0; n < x.dim(0); ++n)
      for_taps(w, [&](int64_t o, int64_t tap, int64_t at) {
        const T* in = data + (n * w.in() + at) * c;
        const T* k = weights + tap * c * m;
        W* to = acc.data() + (n * w.out() + o) * c * m;
        for (int64_t i = 0; i < c; ++i)
          for (int64_t j = 0; j < m; ++j) to[i * m + j] = held<T>(to[i * m + j] + held<T>(widen(in[i]) * widen(k[i * m + j])));
      });
    store<T>(out, acc);
  });
  call.out = {from_last(out, first)};
}

// What the gradient ops share: the shape of the input, channels last, and windows that fit gradient and filter.
struct Backprop {
  bool first, depthwise;
  Shape input;  // channels last
  Tensor gradient;
  Windows w;
  int64_t c, oc;  // channels of input and gradient
  Backprop(const OpCall& call, Shape input_shape, const Shape& filter)
      : first(channels_first(call.node)), depthwise(call.node.op.starts_with("Depthwise")) {
    const Tensor& g = ops::input(call, 2);
    check_map(call.node, g);
    gradient = to_last(g, first);
    need(filter.size() == gradient.shape().size(), "the filter does not fit the rank of the gradient");
    c = filter[filter.size() - 2];
    if (input_shape.size() + 2 == filter.size()) {
      input_shape.insert(input_shape.begin(), gradient.dim(0));
      input_shape.insert(first ? input_shape.begin() + 1 : input_shape.end(), c);
    }
    need(input_shape.size() == filter.size(), "input sizes do not fit the rank of the filter");
    input = input_shape;
    if (first) {
      input.erase(input.begin() + 1);
      input.push_back(input_shape[1]);
    }
    elements(input);
    w = windows(call.node, Shape(input.begin() + 1, input.end() - 1), Shape(filter.begin(), filter.end() - 2), {});
    oc = depthwise ? elements({c, filter.back()}) : filter.back();
    need(input.back() == c && gradient.shape() == w.out_shape(input[0], oc, input.size()),
         "input sizes, filter and gradient do not fit");
  }
};

// The transpose of the convolution: every output gradient is scattered through the filter into the input.
void eval_backprop_input(OpCall& call) {
  const Tensor& f = input(call, 1);
  const Backprop b(call, shape_of(input(call, 0)), f.shape());
  need(b.gradient.dtype() == f.dtype(), "filter and gradient differ in type");
  Tensor out(f.dtype(), b.input);
  on_floats(f.dtype(), [&]<class T>() {
    using W = wide_t<T>;
    std::vector<W> acc(static_cast<size_t>(out.size()), W(0));
    const T *grads = b.gradient.data<T>(), *weights = f.data<T>();
    const int64_t per = b.depthwise && b.c ? b.oc / b.c : b.oc;
    for (int64_t n = 0; n < b.input[0]; ++n)
      for_taps(b.w, [&](int64_t o, int64_t tap, int64_t at) {
        const T* from = grads + (n * b.w.out() + o) * b.oc;
        W* to = acc.data() + (n * b.w.in() + at) * b.c;
        for (int64_t i = 0; i < b.c; ++i) {
          const T* k = weights + (tap * b.c + i) * per;
          const T* g = from + (b.depthwise ? i * per : 0);
          W sum = 0;
          for (int64_t j = 0; j < per; ++j) sum = held<T>(sum + held<T>(widen(g[j]) * widen(k[j])));
          to[i] = held<T>(to[i] + sum);
        }
      });
    store<T>(out, acc);
  });
  call.out = {from_last(out, b.first)};
}

void eval_backprop_filter(OpCall& call) {
  const Shape filter = shape_of(input(call, 1));
  check_map(call.node, input(call, 0));
  const Backprop b(call, call.in[0].shape(), filter);
  const Tensor x = to_last(call.in[0], b.first);
  need(x.dtype() == b.gradient.dtype(), "input and gradient differ in type");
  Tensor out(x.dtype(), filter);
  on_floats(x.dtype(), [&]<class T>() {
    using W = wide_t<T>;
    std::vector<W> acc(static_cast<size_t>(out.size()), W(0));
    const T *data = x.data<T>(), *grads = b.gradient.data<T>();
    const int64_t per = b.depthwise && b.c ? b.oc / b.c : b.oc;
    for (int64_t n = 0; n < b.input[0]; ++n)
      for_taps(b.w, [&](int64_t o, int64_t tap, int64_t at) {
        const T* in = data + (n * b.w.in() + at) * b.c;
        const T* from = grads + (n * b.w.out() + o) * b.oc;
        for (int64_t i = 0; i < b.c; ++i)
          for (int64_t j = 0; j < per; ++j)
            acc[static_cast<size_t>((tap * b.c + i) * per + j)] += widen(in[i]) * widen(from[(b.depthwise ? i * per : 0) + j]);
      });
    store<T>(out, acc);
  });
  call.out = {out};
}

void infer_conv(InferCall& call) {
  const Shape* f = known(call, 1);
  if (f && f->size() >= 4)
    infer_windows(call, Shape(f->begin(), f->end() - 2), f->back(), {});
  else
    call.out = {fact(call.in[0].dtype)};
}
void infer_depthwise(InferCall& call) {
  const Shape* f = known(call, 1);
  if (f && f->size() == 4 && is_static(*f))
    infer_windows(call, Shape(f->begin(), f->end() - 2), elements({(*f)[2], (*f)[3]}), {});
  else
    call.out = {fact(call.in[0].dtype)};
}
void infer_backprop_input(InferCall& call) {
  call.out = {fact(call.in.size() > 2 ? call.in[2].dtype : DType::invalid)};
  if (call.in[0].constant && call.in[0].constant->size() >= 4) {
    call.out[0].shape = call.in[0].constant->as_ints();
    return;
  }
  const Shape *filter = known(call, 1), *gradient = known(call, 2);
  if (!filter || !gradient || filter->size() != gradient->size() || filter->size() < 4) return;
  call.out[0].shape = Shape(filter->size(), -1);
  call.out[0].shape->front() = gradient->front();
  (*call.out[0].shape)[channels_first(call.node) ? 1 : filter->size() - 1] = (*filter)[filter->size() - 2];
}
void infer_backprop_filter(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (call.in.size() > 1 && call.in[1].constant) call.out[0].shape = call.in[1].constant->as_ints();
}

}  // namespace

const std::vector<Op>& conv_ops() {
  static const std::vector<Op> rows = {
      {"Conv2D", infer_conv, eval_conv},
      {"Conv2DBackpropFilter", infer_backprop_filter, eval_backprop_filter},
      {"Conv2DBackpropInput", infer_backprop_input, eval_backprop_input},
      {"Conv3D", infer_conv, eval_conv},
      {"Conv3DBackpropInputV2", infer_backprop_input, eval_backprop_input},
      {"DepthwiseConv2dNative", infer_depthwise, eval_depthwise},
      {"DepthwiseConv2dNativeBackpropFilter", infer_backprop_filter, eval_backprop_filter},
      {"DepthwiseConv2dNativeBackpropInput", infer_backprop_input, eval_backprop_input},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
