// Convolutions of 8-bit codes, as TensorFlow's oneDNN kernels define them: symmetric scales, sums in 32 bits, one rounding.
#include "graph/ops/window.h"

namespace cytodet::graph::ops {
namespace {

struct Fused {
  bool depthwise, bias = false, relu = false;
};

Fused fused_of(const Node& n) {
  Fused f{n.op.find("Depthwise") != std::string::npos};
  std::vector<std::string> rest = n.attr<AttrList>("fused_ops").strings;
  auto take = [&](const char* op) {
    if (rest.empty() || rest.front() != op) return false;
    rest.erase(rest.begin());
    return true;
  };
  f.bias = take("BiasAdd");
  f.relu = take("Relu");
  need(take("Requantize") && rest.empty(), "only the fused ops [BiasAdd,] [Relu,] Requantize are known");
  return f;
}

double top_of(const Tensor& low, const Tensor& high, int64_t i) {
  const double top = std::max(std::abs(low.as_double(i)), std::abs(high.as_double(i)));
  need(std::isfinite(top), "a range is not finite");
  return top;
}

// Sums of products of codes, [n, h, w, channels].
std::vector<int64_t> products(const Tensor& x, const Tensor& f, bool depthwise, const Windows& w) {
  const int64_t c = x.dim(3), m = f.dim(3), oc = depthwise ? elements({c, m}) : m;
  std::vector<int64_t> acc(static_cast<size_t>(x.dim(0) * w.out() * oc), 0);
  on_integers(x.dtype(), [&]<class T>() {
    const T* data = x.data<T>();
    const int8_t* weights = f.data<int8_t>();
    for (int64_t n = 0; n < x.dim(0); ++n)
      for_taps(w, [&](int64_t o, int64_t tap, int64_t at) {
        const T* in = data + (n * w.in() + at) * c;
        const int8_t* k = weights + tap * c * m;
        int64_t* to = acc.data() + (n * w.out() + o) * oc;
        for (int64_t i = 0; i < c; ++i)
          for (int64_t j = 0; j < m; ++j) to[depthwise ? i * m + j : j] += static_cast<int64_t>(in[i]) * k[i * m + j];
      });
  });
  return acc;
}

void eval_fused(OpCall& call) {
  const Fused fused = fused_of(call.node);
  const Tensor &x = input(call, 0), &f = input(call, 1);
  check_map(call.node, x);
  check_map(call.node, f);
  need(!channels_first(call.node), "only channels last is known");
  need(f.dtype() == DType::qint8 && (x.dtype() == DType::quint8 || x.dtype() == DType::qint8), "needs 8-bit codes");
  need(f.dim(2) == x.dim(3), "filter " + to_string(f.shape()) + " does not fit input " + to_string(x.shape()));
  const size_t at = fused.bias ? 3 : 2;
  input(call, at + 5);
  const Windows w = windows(call.node, spatial(x), {f.dim(0), f.dim(1)}, {});
  const int64_t oc = fused.depthwise ? elements({f.dim(2), f.dim(3)}) : f.dim(3);
  const Tensor &low = call.in[at + 2], &high = call.in[at + 3];
  need(low.size() == high.size() && (low.size() == 1 || low.size() == oc), "needs one filter range, or one per channel");
  need(!fused.bias || call.in[2].size() == oc, "needs one bias per channel");
  for (size_t i : {at, at + 1, at + 4, at + 5})
    need(call.in[i].size() == 1, "needs one range of the input and one of the result");
  const DType type = call.node.attr<DType>("out_type");
  need(type == DType::quint8 || type == DType::qint8, "needs an 8-bit result");
  const double max = type == DType::quint8 ? 255 : 127, min = type == DType::quint8 ? 0 : -128;
  const double step = top_of(call.in[at], call.in[at + 1], 0) / (x.dtype() == DType::quint8 ? 255 : 127),
               out_step = top_of(call.in[at + 4], call.in[at + 5], 0) / max;
  const std::vector<int64_t> acc = products(x, f, fused.depthwise, w);
  Tensor out(type, w.out_shape(x.dim(0), oc, 4));
  on_integers(type, [&]<class T>() {
    for (int64_t i = 0; i < out.size(); ++i) {
      const int64_t c = i % oc;
      const double scale = step * top_of(low, high, low.size() == 1 ? 0 : c) / 127;
      double v = static_cast<double>(acc[static_cast<size_t>(i)]) * scale;
      if (fused.bias) v += call.in[2].as_double(c) * (call.in[2].dtype() == DType::qint32 ? scale : 1);
      if (fused.relu) v = std::max(v, 0.0);
      out.data<T>()[i] = static_cast<T>(std::clamp(std::nearbyint(v / out_step), min, max));
    }
  });
  call.out = {out, call.in[at + 4], call.in[at + 5]};
}

void infer_fused(InferCall& call) {
  const bool depthwise = call.node.op.find("Depthwise") != std::string::npos;
  const Shape* f = known(call, 1);
  call.out = {fact(DType::invalid)};
  if (f && f->size() == 4 && is_static(*f))
    infer_windows(call, {(*f)[0], (*f)[1]}, depthwise ? elements({(*f)[2], (*f)[3]}) : f->back(), {});
  call.out.resize(3, fact(DType::f32, Shape{}));
  call.out[0].dtype = call.node.attr_or("out_type", DType::invalid);
}

}  // namespace

const std::vector<Op>& quantized_conv_ops() {
  static const std::vector<Op> rows = {
      {"_FusedQuantizedConv2D", infer_fused, eval_fused},
      {"_FusedQuantizedDepthwiseConv2D", infer_fused, eval_fused},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
