// Bias, batch norm, softmax, matrix products.
#include "graph/ir/conv_node.h"
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

void eval_bias_add(OpCall& call) {
  const Tensor &x = input(call, 0), &b = input(call, 1);
  need(x.rank() >= 2 && b.rank() == 1 && b.dtype() == x.dtype(), "needs a map and a vector of one type");
  int axis = channel_is_second(call.node, x.rank()) ? 1 : x.rank() - 1;
  need(b.size() == x.dim(axis), "bias of " + std::to_string(b.size()) + " for " + to_string(x.shape()));
  int64_t inner = elements(Shape(x.shape().begin() + axis + 1, x.shape().end()));
  Tensor out(x.dtype(), x.shape());
  on_numeric(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i)
      out.data<T>()[i] = static_cast<T>(widen(x.data<T>()[i]) + widen(b.data<T>()[i / inner % b.size()]));
  });
  call.out = {out};
}

// Inference: (x - mean) / sqrt(variance + epsilon) * scale + offset; training: mean and variance of the batch.
void eval_fused_batch_norm(OpCall& call) {
  const Tensor &x = input(call, 0), &scale = input(call, 1), &offset = input(call, 2), &mean = input(call, 3),
               &variance = input(call, 4);
  need(x.rank() == 4 || x.rank() == 5, "needs a map of 4 or 5 dimensions");
  int axis = channel_is_second(call.node, x.rank()) ? 1 : x.rank() - 1;
  int64_t c = x.dim(axis), inner = elements(Shape(x.shape().begin() + axis + 1, x.shape().end())), count = c ? x.size() / c : 0;
  bool training = call.node.attr_or("is_training", true);
  double epsilon = call.node.attr_or("epsilon", 1e-4f);
  need(scale.size() == c && offset.size() == c && (training || (mean.size() == c && variance.size() == c)),
       "parameters do not fit " + std::to_string(c) + " channels");
  std::vector<double> m(static_cast<size_t>(c), 0), v(static_cast<size_t>(c), 0);
  Tensor out(x.dtype(), x.shape());
  Tensor out_mean(scale.dtype(), {c}), out_variance(scale.dtype(), {c});
  auto channel = [&](int64_t i) { return static_cast<size_t>(i / inner % c); };
  on_floats(x.dtype(), [&]<class T>() {
    if (training) {
      for (int64_t i = 0; i < x.size(); ++i)
        m[channel(i)] += static_cast<double>(widen(x.data<T>()[i])) / static_cast<double>(count);
      for (int64_t i = 0; i < x.size(); ++i) {
        double d = widen(x.data<T>()[i]) - m[channel(i)];
        v[channel(i)] += d * d / static_cast<double>(count);
      }
    } else {
      for (int64_t k = 0; k < c; ++k)
        m[static_cast<size_t>(k)] = mean.as_double(k), v[static_cast<size_t>(k)] = variance.as_double(k);
    }
    for (int64_t i = 0; i < x.size(); ++i) {
      size_t k = channel(i);
      double y = (widen(x.data<T>()[i]) - m[k]) / std::sqrt(v[k] + epsilon) * scale.as_double(static_cast<int64_t>(k)) +
                 offset.as_double(static_cast<int64_t>(k));
      out.data<T>()[i] = static_cast<T>(static_cast<wide_t<T>>(y));
    }
  });
  double unbias = training && count > 1 ? static_cast<double>(count) / static_cast<double>(count - 1) : 1;
  on_floats(scale.dtype(), [&]<class T>() {
    for (int64_t k = 0; k < c; ++k) {
      out_mean.data<T>()[k] = static_cast<T>(static_cast<wide_t<T>>(m[static_cast<size_t>(k)]));
      out_variance.data<T>()[k] = static_cast<T>(static_cast<wide_t<T>>(v[static_cast<size_t>(k)] * unbias));
    }
  });
  call.out = {out, out_mean, out_variance, out_mean, out_variance};
  if (call.node.op == "FusedBatchNormV3") call.out.push_back(Tensor(DType::f32, {0}));
}
void infer_fused_batch_norm(InferCall& call) {
  call.out.assign(call.node.op == "FusedBatchNormV3" ? 6 : 5, fact(DType::f32));
  call.out[0] = fact(call.in[0].dtype, call.in[0].shape);
  for (size_t i = 1; i < 5 && call.in.size() > 1; ++i) call.out[i] = fact(call.in[1].dtype, call.in[1].shape);
}

void eval_global_batch_norm(OpCall& call) {
  const Tensor &x = input(call, 0), &mean = input(call, 1), &variance = input(call, 2), &beta = input(call, 3),
               &gamma = input(call, 4);
  need(x.rank() == 4 && mean.size() == x.dim(3) && variance.size() == x.dim(3) && beta.size() == x.dim(3) &&
           gamma.size() == x.dim(3),
       "parameters do not fit the map");
  double epsilon = call.node.attr_or("variance_epsilon", 0.0f);
  bool scaled = call.node.attr_or("scale_after_normalization", false);
  Tensor out(x.dtype(), x.shape());
  on_floats(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i) {
      int64_t k = i % x.dim(3);
      double s = (scaled ? gamma.as_double(k) : 1) / std::sqrt(variance.as_double(k) + epsilon);
      out.data<T>()[i] =
          static_cast<T>(static_cast<wide_t<T>>((widen(x.data<T>()[i]) - mean.as_double(k)) * s + beta.as_double(k)));
    }
  });
  call.out = {out};
}

void softmax(OpCall& call, bool log) {
  const Tensor& x = input(call, 0);
  need(x.rank() >= 1, "needs at least one dimension");
  Tensor out(x.dtype(), x.shape());
  int64_t size = x.dim(-1), rows = size ? x.size() / size : 0;
  on_floats(x.dtype(), [&]<class T>() {
    using W = std::conditional_t<std::is_same_v<T, double>, double, float>;
    for (int64_t r = 0; r < rows; ++r) {
      const T* in = x.data<T>() + r * size;
      W top = static_cast<W>(widen(in[0]));
      for (int64_t i = 1; i < size; ++i) top = std::max(top, static_cast<W>(widen(in[i])));
      const auto shifted = [&](int64_t i) { return held<T>(widen(in[i]) - top); };
      if constexpr (sizeof(T) == 2) {
        W total = 0;
        for (int64_t i = 0; i < size; ++i) total = held<T>(total + held<T>(std::exp(shifted(i))));
        const W by = held<T>(log ? std::log(total) : 1 / total);
        for (int64_t i = 0; i < size; ++i)
          out.data<T>()[r * size + i] = static_cast<T>(log ? shifted(i) - by : held<T>(std::exp(shifted(i))) * by);
      } else {
        double total = 0;
        for (int64_t i = 0; i < size; ++i) total += std::exp(shifted(i));
        for (int64_t i = 0; i < size; ++i)
          out.data<T>()[r * size + i] = static_cast<T>(log ? shifted(i) - std::log(total) : std::exp(shifted(i)) / total);
      }
    }
  });
  call.out = {out};
}

// c[rows, columns] += a * b with any strides.
template <class T>
void multiply(const T* a, int64_t a_row, int64_t a_k, const T* b, int64_t b_k, int64_t b_column, T* c, int64_t rows, int64_t k,
              int64_t columns) {
  using W = std::conditional_t<std::is_same_v<T, double>, double, wide_t<T>>;
  constexpr bool half = std::is_same_v<T, Half>;  // TensorFlow adds these up in half floats
  std::vector<W> acc(static_cast<size_t>(columns));
  for (int64_t i = 0; i < rows; ++i) {
    std::fill(acc.begin(), acc.end(), W(0));
    for (int64_t p = 0; p < k; ++p) {
      W v = widen(a[i * a_row + p * a_k]);
      for (int64_t j = 0; j < columns; ++j) {
        const W product = static_cast<W>(v * static_cast<W>(widen(b[p * b_k + j * b_column])));
        W& sum = acc[static_cast<size_t>(j)];
        sum = static_cast<W>(sum + (half ? held<T>(product) : product));
        if (half) sum = held<T>(sum);
      }
    }
    for (int64_t j = 0; j < columns; ++j) c[i * columns + j] = static_cast<T>(acc[static_cast<size_t>(j)]);
  }
}

void matmul(OpCall& call, bool transpose_a, bool transpose_b) {
  const Tensor &a = input(call, 0), &b = input(call, 1);
  need(a.rank() >= 2 && b.rank() >= 2 && a.dtype() == b.dtype(), "needs two matrices of one type");
  int64_t rows = a.dim(transpose_a ? -1 : -2), k = a.dim(transpose_a ? -2 : -1), columns = b.dim(transpose_b ? -2 : -1);
  need(k == b.dim(transpose_b ? -1 : -2), "matrices " + to_string(a.shape()) + " and " + to_string(b.shape()) + " do not fit");
  Shape sa(a.shape().begin(), a.shape().end() - 2), sb(b.shape().begin(), b.shape().end() - 2), s = broadcast_shapes(sa, sb),
                                                                                                full = s;
  full.push_back(rows);
  full.push_back(columns);
  Tensor out(a.dtype(), full);
  on_numeric(a.dtype(), [&]<class T>() {
    walk(s, {broadcast_strides(sa, s), broadcast_strides(sb, s)}, [&](int64_t i, const int64_t* at) {
      multiply(a.data<T>() + at[0] * rows * k, transpose_a ? 1 : k, transpose_a ? rows : 1, b.data<T>() + at[1] * k * columns,
               transpose_b ? 1 : columns, transpose_b ? k : 1, out.data<T>() + i * rows * columns, rows, k, columns);
    });
  });
  call.out = {out};
}
void eval_matmul(OpCall& call) {
  need(input(call, 0).rank() == 2 && input(call, 1).rank() == 2, "needs two matrices");
  matmul(call, call.node.attr_or("transpose_a", false), call.node.attr_or("transpose_b", false));
}
void eval_batch_matmul(OpCall& call) { matmul(call, call.node.attr_or("adj_x", false), call.node.attr_or("adj_y", false)); }
void infer_matmul_shapes(InferCall& call, bool ta, bool tb) {
  call.out = {fact(call.in[0].dtype)};
  const Shape *a = known(call, 0), *b = known(call, 1);
  if (!a || !b || a->size() < 2 || b->size() < 2) return;
  std::optional<Shape> s = broadcast_partial(Shape(a->begin(), a->end() - 2), Shape(b->begin(), b->end() - 2));
  s->push_back((*a)[a->size() - (ta ? 1 : 2)]);
  s->push_back((*b)[b->size() - (tb ? 2 : 1)]);
  call.out[0].shape = s;
}
void infer_matmul(InferCall& call) {
  infer_matmul_shapes(call, call.node.attr_or("transpose_a", false), call.node.attr_or("transpose_b", false));
}
void infer_batch_matmul(InferCall& call) {
  infer_matmul_shapes(call, call.node.attr_or("adj_x", false), call.node.attr_or("adj_y", false));
}

void eval_lrn(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.rank() == 4, "needs a map of 4 dimensions");
  int64_t radius = call.node.attr_or("depth_radius", int64_t{5}), c = x.dim(3);
  double bias = call.node.attr_or("bias", 1.0f), alpha = call.node.attr_or("alpha", 1.0f), beta = call.node.attr_or("beta", 0.5f);
  Tensor out(x.dtype(), x.shape());
  on_floats(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i) {
      int64_t k = i % c;
      double sum = 0;
      for (int64_t j = std::max<int64_t>(0, k - radius); j <= std::min(c - 1, k + radius); ++j) {
        double v = widen(x.data<T>()[i - k + j]);
        sum += v * v;
      }
      out.data<T>()[i] = static_cast<T>(static_cast<wide_t<T>>(widen(x.data<T>()[i]) / std::pow(bias + alpha * sum, beta)));
    }
  });
  call.out = {out};
}

void infer_l2_loss(InferCall& call) { call.out = {fact(input_type(call, 0), Shape{})}; }
void eval_l2_loss(OpCall& call) {
  const Tensor& x = input(call, 0);
  Tensor out(x.dtype(), {});
  on_floats(x.dtype(), [&]<class T>() {
    double sum = 0;
    for (int64_t i = 0; i < x.size(); ++i) sum += static_cast<double>(widen(x.data<T>()[i])) * widen(x.data<T>()[i]);
    out.data<T>()[0] = static_cast<T>(static_cast<wide_t<T>>(sum / 2));
  });
  call.out = {out};
}

}  // namespace

const std::vector<Op>& nn_ops() {
  static const std::vector<Op> rows = {
      {"BatchMatMul", infer_batch_matmul, eval_batch_matmul},
      {"BatchMatMulV2", infer_batch_matmul, eval_batch_matmul},
      {"BatchMatMulV3", infer_batch_matmul, eval_batch_matmul},
      {"BatchNormWithGlobalNormalization", infer_same, eval_global_batch_norm},
      {"BiasAdd", infer_same, eval_bias_add},
      {"BiasAddV1", infer_same, eval_bias_add},
      {"FusedBatchNorm", infer_fused_batch_norm, eval_fused_batch_norm},
      {"FusedBatchNormV2", infer_fused_batch_norm, eval_fused_batch_norm},
      {"FusedBatchNormV3", infer_fused_batch_norm, eval_fused_batch_norm},
      {"L2Loss", infer_l2_loss, eval_l2_loss},
      {"LRN", infer_same, eval_lrn},
      {"LogSoftmax", infer_same, [](OpCall& c) { softmax(c, true); }},
      {"MatMul", infer_matmul, eval_matmul},
      {"Softmax", infer_same, [](OpCall& c) { softmax(c, false); }},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
