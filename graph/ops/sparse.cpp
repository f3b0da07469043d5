// Ops that scatter, stitch and gather by lists of indices.
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

Shape tail(const Shape& s, int64_t from) { return {s.begin() + from, s.end()}; }

// f(flat position in `shape`, row) for each row of indices [..., depth] into `shape`.
template <class F>
void each_index(const Tensor& index, const Shape& shape, F f) {
  need(index.rank() >= 1, "indices must have a dimension");
  const int64_t depth = index.dim(-1);
  need(depth <= static_cast<int64_t>(shape.size()), "indices are deeper than the tensor");
  const std::vector<int64_t> own = strides_of(shape);
  const int64_t rows = elements(Shape(index.shape().begin(), index.shape().end() - 1));
  need(depth > 0 || rows <= 1 << 24, "there are too many empty indices");
  for (int64_t r = 0; r < rows; ++r) {
    int64_t to = 0;
    for (int64_t d = 0; d < depth; ++d) {
      const int64_t i = index.as_int(r * depth + d);
      need(i >= 0 && i < shape[static_cast<size_t>(d)], "index " + std::to_string(i) + " is out of range");
      to += i * own[static_cast<size_t>(d)];
    }
    f(to, r);
  }
}

template <class F>
void scatter_into(Tensor& out, const Tensor& index, const Tensor& updates, F f) {
  need(index.rank() >= 1 && index.dim(-1) <= out.rank(), "indices do not fit the tensor");
  const int64_t inner = elements(tail(out.shape(), index.dim(-1))),
                rows = elements(Shape(index.shape().begin(), index.shape().end() - 1));
  need(updates.dtype() == out.dtype() && updates.size() == elements({rows, inner}), "updates do not fit indices and shape");
  if (inner == 0) return;
  if (out.dtype() == DType::string) {
    each_index(index, out.shape(), [&](int64_t to, int64_t r) {
      for (int64_t k = 0; k < inner; ++k) copy_element(out, to + k, updates, r * inner + k);
    });
    return;
  }
  on_any(out.dtype(), [&]<class T>() {
    T* data = out.data<T>();
    const T* from = updates.data<T>();
    each_index(index, out.shape(), [&](int64_t to, int64_t r) {
      for (int64_t k = 0; k < inner; ++k)
        data[to + k] = static_cast<T>(static_cast<wide_t<T>>(f(widen(data[to + k]), widen(from[r * inner + k]))));
    });
  });
}
void eval_scatter_nd(OpCall& call) {
  Tensor out(input(call, 1).dtype(), shape_of(input(call, 2)));
  scatter_into(out, call.in[0], call.in[1], [](auto a, auto b) { return wrap(a) + wrap(b); });
  call.out = {out};
}
void infer_scatter_nd(InferCall& call) {
  call.out = {fact(call.in.size() > 1 ? call.in[1].dtype : DType::invalid)};
  if (call.in.size() > 2 && call.in[2].constant) call.out[0].shape = call.in[2].constant->as_ints();
}
#define SCATTER(NAME, EXPR)                                            \
  {                                                                    \
    NAME, infer_same, [](OpCall& c) {                                  \
      Tensor out = input(c, 0).clone();                                \
      scatter_into(out, input(c, 1), input(c, 2), [](auto a, auto b) { \
        (void)a;                                                       \
        return EXPR;                                                   \
      });                                                              \
      c.out = {out};                                                   \
    }                                                                  \
  }

void eval_sparse_to_dense(OpCall& call) {
  const Tensor &index = input(call, 0), &values = input(call, 2), &fill = input(call, 3);
  Tensor out(values.dtype(), shape_of(input(call, 1)));
  need(index.rank() <= 2 && fill.size() == 1 && fill.dtype() == values.dtype(), "indices, values and default do not fit");
  const Tensor rows = index.rank() == 2 ? index : index.reshaped({index.size(), 1});
  need(rows.dim(1) == out.rank() && (values.rank() == 0 || values.size() == rows.dim(0)), "indices, values and shape do not fit");
  for (int64_t i = 0; i < out.size(); ++i) copy_element(out, i, fill, 0);
  each_index(rows, out.shape(), [&](int64_t to, int64_t r) { copy_element(out, to, values, values.rank() == 0 ? 0 : r); });
  call.out = {out};
}
void infer_sparse_to_dense(InferCall& call) {
  call.out = {fact(call.in.size() > 2 ? call.in[2].dtype : DType::invalid)};
  if (call.in.size() > 1 && call.in[1].constant) call.out[0].shape = call.in[1].constant->as_ints();
}

void eval_dynamic_partition(OpCall& call) {
  const Tensor &x = input(call, 0), &parts = input(call, 1);
  const int64_t n = call.node.attr<int64_t>("num_partitions");
  need(n > 0 && n <= 65536, "num_partitions is out of range");
  need(parts.rank() <= x.rank() && std::equal(parts.shape().begin(), parts.shape().end(), x.shape().begin()),
       "partitions do not fit the data");
  const Shape row = tail(x.shape(), parts.rank());
  const int64_t inner = elements(row);
  std::vector<std::vector<int64_t>> members(static_cast<size_t>(n));
  for (int64_t i = 0; i < parts.size(); ++i) {
    const int64_t p = parts.as_int(i);
    need(p >= 0 && p < n, "partition " + std::to_string(p) + " is out of range");
    members[static_cast<size_t>(p)].push_back(i);
  }
  for (const auto& list : members) {
    Shape s = row;
    s.insert(s.begin(), static_cast<int64_t>(list.size()));
    Tensor out(x.dtype(), s);
    for (size_t i = 0; i < list.size(); ++i)
      for (int64_t k = 0; k < inner; ++k) copy_element(out, static_cast<int64_t>(i) * inner + k, x, list[i] * inner + k);
    call.out.push_back(out);
  }
}
void infer_dynamic_partition(InferCall& call) {
  const int64_t n = call.node.attr_or("num_partitions", int64_t{0});
  if (n > 0 && n <= 65536) call.out.assign(static_cast<size_t>(n), fact(call.in[0].dtype));
}

// Inputs: n lists of indices, then n lists of data.
void eval_dynamic_stitch(OpCall& call) {
  const size_t n = call.in.size() / 2;
  need(n > 0 && call.in.size() == 2 * n, "needs as many lists of indices as of data");
  const Shape row = tail(call.in[n].shape(), std::min(call.in[0].rank(), call.in[n].rank()));
  const int64_t inner = elements(row);
  int64_t size = 0;
  for (size_t l = 0; l < n; ++l) {
    const Tensor &index = call.in[l], &x = call.in[n + l];
    need(x.dtype() == call.in[n].dtype() && x.rank() >= index.rank() && tail(x.shape(), index.rank()) == row &&
             x.size() == elements({index.size(), inner}),
         "data do not fit their indices");
    for (int64_t i : index.as_ints()) {
      need(i >= 0 && i < int64_t{1} << 31, "index " + std::to_string(i) + " is out of range");
      size = std::max(size, i + 1);
    }
  }
  Shape s = row;
  s.insert(s.begin(), size);
  Tensor out(call.in[n].dtype(), s);
  for (size_t l = 0; l < n; ++l)
    for (int64_t i = 0; i < call.in[l].size(); ++i)
      for (int64_t k = 0; k < inner; ++k) copy_element(out, call.in[l].as_int(i) * inner + k, call.in[n + l], i * inner + k);
  call.out = {out};
}
void infer_dynamic_stitch(InferCall& call) { call.out = {fact(call.in.empty() ? DType::invalid : call.in.back().dtype)}; }

void eval_reverse_sequence(OpCall& call) {
  const Tensor &x = input(call, 0), &lengths = input(call, 1);
  const int64_t seq = axis_of(call.node.attr<int64_t>("seq_dim"), x.rank()),
                batch = axis_of(call.node.attr_or("batch_dim", int64_t{0}), x.rank());
  need(seq != batch && lengths.rank() == 1 && lengths.size() == x.dim(static_cast<int>(batch)),
       "lengths do not fit the batch dimension");
  const std::vector<int64_t> own = strides_of(x.shape());
  Tensor out(x.dtype(), x.shape());
  for (int64_t l : lengths.as_ints())
    need(l >= 0 && l <= x.dim(static_cast<int>(seq)), "length " + std::to_string(l) + " is out of range");
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t step = own[static_cast<size_t>(seq)], at = i / step % x.dim(static_cast<int>(seq)),
                  l = lengths.as_int(i / own[static_cast<size_t>(batch)] % x.dim(static_cast<int>(batch)));
    copy_element(out, i, x, at < l ? i + (l - 1 - 2 * at) * step : i);
  }
  call.out = {out};
}

// Sums rows of data picked by indices into segments; divisor 1, n or sqrt(n).
void eval_sparse_segment(OpCall& call) {
  const Tensor &x = input(call, 0), &index = input(call, 1), &ids = input(call, 2);
  need(x.rank() >= 1 && index.rank() == 1 && ids.rank() == 1 && index.size() == ids.size(), "needs one segment per index");
  const bool mean = call.node.op.starts_with("SparseSegmentMean"), root = call.node.op.starts_with("SparseSegmentSqrtN");
  int64_t count = ids.size() ? ids.as_int(ids.size() - 1) + 1 : 0;
  if (call.node.op.ends_with("WithNumSegments")) count = input(call, 3).as_int();
  need(count >= 0 && count < int64_t{1} << 31, "the number of segments is out of range");
  Shape s = x.shape();
  s[0] = count;
  Tensor out(x.dtype(), s);
  const int64_t inner = elements(tail(x.shape(), 1));
  on_numeric(x.dtype(), [&]<class T>() {
    std::vector<wide_t<T>> acc(static_cast<size_t>(out.size()), 0);
    std::vector<int64_t> n(static_cast<size_t>(count), 0);
    for (int64_t i = 0; i < index.size(); ++i) {
      const int64_t from = index.as_int(i), to = ids.as_int(i);
      need(from >= 0 && from < x.dim(0) && to >= 0 && to < count,
           "index " + std::to_string(from) + " or segment " + std::to_string(to) + " is out of range");
      ++n[static_cast<size_t>(to)];
      for (int64_t k = 0; k < inner; ++k) {
        auto& a = acc[static_cast<size_t>(to * inner + k)];
        a = static_cast<wide_t<T>>(wrap(a) + wrap(widen(x.data<T>()[from * inner + k])));
      }
    }
    for (int64_t i = 0; i < out.size(); ++i) {
      const double members = static_cast<double>(std::max<int64_t>(1, n[static_cast<size_t>(i / inner)]));
      out.data<T>()[i] =
          static_cast<T>(static_cast<wide_t<T>>(acc[static_cast<size_t>(i)] / static_cast<wide_t<T>>(mean   ? members
                                                                                                     : root ? std::sqrt(members)
                                                                                                            : 1)));
    }
  });
  call.out = {out};
}
void infer_rows(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (!known(call, 0) || known(call, 0)->empty()) return;
  call.out[0].shape = *known(call, 0);
  (*call.out[0].shape)[0] = -1;
}

void infer_unravel_index(InferCall& call) {
  call.out = {fact(input_type(call, 0))};
  if (!known(call, 0)) return;
  Shape s{known_dim(call, 1, 0)};
  if (!known(call, 0)->empty()) s.push_back(known(call, 0)->front());
  call.out[0].shape = s;
}
void eval_unravel_index(OpCall& call) {
  const Tensor &index = input(call, 0), &dims = input(call, 1);
  const Shape shape = shape_of(dims);
  need(dims.rank() == 1 && index.rank() <= 1 && index.dtype() == dims.dtype(), "needs indices and dims of one type");
  const int64_t total = elements(shape), n = index.size();
  const std::vector<int64_t> own = strides_of(shape);
  std::vector<int64_t> at;
  for (size_t d = 0; d < shape.size(); ++d)
    for (int64_t i : index.as_ints()) {
      need(i >= 0 && i < total, "index " + std::to_string(i) + " is out of range");
      at.push_back(i / own[d] % shape[d]);
    }
  call.out = {int_tensor(index.dtype(),
                         index.rank() ? Shape{static_cast<int64_t>(shape.size()), n} : Shape{static_cast<int64_t>(shape.size())},
                         at)};
}

}  // namespace

const std::vector<Op>& sparse_ops() {
  static const std::vector<Op> rows = {
      {"DynamicPartition", infer_dynamic_partition, eval_dynamic_partition},
      {"DynamicStitch", infer_dynamic_stitch, eval_dynamic_stitch},
      {"ParallelDynamicStitch", infer_dynamic_stitch, eval_dynamic_stitch},
      {"ReverseSequence", infer_same, eval_reverse_sequence},
      {"ScatterNd", infer_scatter_nd, eval_scatter_nd},
      {"SparseSegmentMean", infer_rows, eval_sparse_segment},
      {"SparseSegmentMeanWithNumSegments", infer_rows, eval_sparse_segment},
      {"SparseSegmentSqrtN", infer_rows, eval_sparse_segment},
      {"SparseSegmentSqrtNWithNumSegments", infer_rows, eval_sparse_segment},
      {"SparseSegmentSum", infer_rows, eval_sparse_segment},
      {"SparseSegmentSumWithNumSegments", infer_rows, eval_sparse_segment},
      {"SparseToDense", infer_sparse_to_dense, eval_sparse_to_dense},
      SCATTER("ScatterNdNonAliasingAdd", wrap(a) + wrap(b)),
      SCATTER("TensorScatterAdd", wrap(a) + wrap(b)),
      SCATTER("TensorScatterMax", a < b ? b : a),
      SCATTER("TensorScatterMin", b < a ? b : a),
      SCATTER("TensorScatterSub", wrap(a) - wrap(b)),
      SCATTER("TensorScatterUpdate", b),
      {"UnravelIndex", infer_unravel_index, eval_unravel_index},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
