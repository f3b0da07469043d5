// Gradients of activations and losses with their gradients: what a training graph leaves behind.
#include "graph/ir/conv_node.h"
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

template <class F>
void pairwise(OpCall& call, F f) {
  const Tensor &a = input(call, 0), &b = input(call, 1);
  need(a.dtype() == b.dtype() && a.shape() == b.shape(), "inputs differ in type or shape");
  Tensor out(a.dtype(), a.shape());
  on_floats(a.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < a.size(); ++i)
      out.data<T>()[i] = static_cast<T>(static_cast<wide_t<T>>(f(widen(a.data<T>()[i]), widen(b.data<T>()[i]))));
  });
  call.out = {out};
}
// g: incoming gradient, x: the op's input; y: the op's output.
#define GRAD(NAME, EXPR)                                                                  \
  {                                                                                       \
    NAME, infer_same, [](OpCall& c) { pairwise(c, [](auto g, auto x) { return EXPR; }); } \
  }
#define GRAD_OF_OUTPUT(NAME, EXPR)                                                        \
  {                                                                                       \
    NAME, infer_same, [](OpCall& c) { pairwise(c, [](auto y, auto g) { return EXPR; }); } \
  }

void eval_leaky_relu_grad(OpCall& call) {
  const double alpha = call.node.attr_or("alpha", 0.2f);
  pairwise(call, [alpha](auto g, auto x) { return x > 0 ? g : static_cast<decltype(g)>(g * alpha); });
}

void eval_bias_add_grad(OpCall& call) {
  const Tensor& g = input(call, 0);
  need(g.rank() >= 2, "needs at least two dimensions");
  const int axis = channel_is_second(call.node, g.rank()) ? 1 : g.rank() - 1;
  const int64_t c = g.dim(axis), inner = elements(Shape(g.shape().begin() + axis + 1, g.shape().end()));
  Tensor out(g.dtype(), {c});
  on_numeric(g.dtype(), [&]<class T>() {
    std::vector<wide_t<T>> sum(static_cast<size_t>(c), 0);
    for (int64_t i = 0; i < g.size(); ++i) {
      auto& s = sum[static_cast<size_t>(i / inner % c)];
      s = static_cast<wide_t<T>>(wrap(s) + wrap(widen(g.data<T>()[i])));
    }
    for (int64_t i = 0; i < c; ++i) out.data<T>()[i] = static_cast<T>(sum[static_cast<size_t>(i)]);
  });
  call.out = {out};
}

void infer_bias_add_grad(InferCall& call) {
  const bool first = known(call, 0) && channel_is_second(call.node, static_cast<int64_t>(known(call, 0)->size()));
  call.out = {fact(input_type(call, 0), Shape{known_dim(call, 0, first ? 1 : -1)})};
}

// loss = -sum(label * log softmax(x)), gradient = softmax(x) - label; label(row, class).
template <class T, class Label>
void cross_entropy(const Tensor& x, int64_t classes, Label label, Tensor& loss, Tensor& gradient) {
  for (int64_t r = 0; r < loss.size(); ++r) {
    const T* in = x.data<T>() + r * classes;
    double top = -std::numeric_limits<double>::infinity(), total = 0, sum = 0;
    for (int64_t i = 0; i < classes; ++i) top = std::max(top, static_cast<double>(widen(in[i])));
    for (int64_t i = 0; i < classes; ++i) total += std::exp(static_cast<double>(widen(in[i])) - top);
    for (int64_t i = 0; i < classes; ++i) {
      const double log_share = static_cast<double>(widen(in[i])) - top - std::log(total), l = label(r, i);
      sum -= l == 0 ? 0 : l * log_share;
      gradient.data<T>()[r * classes + i] = static_cast<T>(static_cast<wide_t<T>>(std::exp(log_share) - l));
    }
    loss.data<T>()[r] = static_cast<T>(static_cast<wide_t<T>>(sum));
  }
}
void eval_cross_entropy(OpCall& call) {
  const Tensor &x = input(call, 0), &labels = input(call, 1);
  need(x.rank() == 2 && labels.rank() == 2 && x.dtype() == labels.dtype(),
       "needs logits and labels [batch, classes] of one type");
  const Shape s = broadcast_shapes(x.shape(), labels.shape());
  need(s == x.shape(), "labels have more rows than logits");
  Tensor loss(x.dtype(), {s[0]}), gradient(x.dtype(), s);
  const std::vector<int64_t> strides = broadcast_strides(labels.shape(), s);
  on_floats(x.dtype(), [&]<class T>() {
    cross_entropy<T>(
        x, s[1], [&](int64_t r, int64_t i) { return labels.as_double(r * strides[0] + i * strides[1]); }, loss, gradient);
  });
  call.out = {loss, gradient};
}
void eval_sparse_cross_entropy(OpCall& call) {
  const Tensor &x = input(call, 0), &labels = input(call, 1);
  need(x.rank() == 2 && labels.rank() == 1 && labels.size() == x.dim(0), "needs logits [batch, classes] and one label per row");
  Tensor loss(x.dtype(), {x.dim(0)}), gradient(x.dtype(), x.shape());
  for (int64_t l : labels.as_ints()) need(l >= 0 && l < x.dim(1), "label " + std::to_string(l) + " is out of range");
  on_floats(x.dtype(), [&]<class T>() {
    cross_entropy<T>(
        x, x.dim(1), [&](int64_t r, int64_t i) { return labels.as_int(r) == i ? 1.0 : 0.0; }, loss, gradient);
  });
  call.out = {loss, gradient};
}
void infer_cross_entropy(InferCall& call) {
  call.out.assign(2, fact(call.in[0].dtype, call.in[0].shape));
  if (known(call, 0) && known(call, 0)->size() == 2)
    call.out[0].shape = Shape{(*known(call, 0))[0]};
  else
    call.out[0].shape.reset();
}

}  // namespace

const std::vector<Op>& grad_ops() {
  static const std::vector<Op> rows = {
      {"BiasAddGrad", infer_bias_add_grad, eval_bias_add_grad},
      {"EluGrad", infer_same, [](OpCall& c) { pairwise(c, [](auto g, auto y) { return y < 0 ? (y + 1) * g : g; }); }},
      GRAD_OF_OUTPUT("InvGrad", -g * y * y),
      {"LeakyReluGrad", infer_same, eval_leaky_relu_grad},
      GRAD_OF_OUTPUT("ReciprocalGrad", -g * y * y),
      GRAD("Relu6Grad", x > 0 && x < 6 ? g : 0),
      GRAD("ReluGrad", x > 0 ? g : 0),
      GRAD_OF_OUTPUT("RsqrtGrad", g * y * y * y * decltype(y)(-0.5)),
      {"SeluGrad", infer_same,
       [](OpCall& c) {
         pairwise(c, [](auto g, auto y) { return y < 0 ? g * (y + 1.7580993408473766) : g * 1.0507009873554805; });
       }},
      GRAD_OF_OUTPUT("SigmoidGrad", g * y * (1 - y)),
      {"SoftmaxCrossEntropyWithLogits", infer_cross_entropy, eval_cross_entropy},
      GRAD("SoftplusGrad", g / (1 + std::exp(-x))),
      GRAD("SoftsignGrad", g / ((1 + std::abs(x)) * (1 + std::abs(x)))),
      {"SparseSoftmaxCrossEntropyWithLogits", infer_cross_entropy, eval_sparse_cross_entropy},
      GRAD_OF_OUTPUT("SqrtGrad", g / (2 * y)),
      GRAD_OF_OUTPUT("TanhGrad", g * (1 - y * y)),
  };
  return rows;
}

}  // namespace cytodet::graph::ops
