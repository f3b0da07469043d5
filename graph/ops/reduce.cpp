// Reductions, and the ops that sort or search.
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

struct Reduction {
  Shape kept;                    // with keep_dims
  Shape result;                  // as asked for
  std::vector<int64_t> strides;  // of the flat output index, per input dimension (0 on reduced ones)
};

Reduction plan_reduction(const Shape& shape, std::vector<int64_t> axes, bool keep) {
  Reduction r;
  r.kept = shape;
  for (int64_t a : axes) r.kept[static_cast<size_t>(a)] = 1;
  r.strides = strides_of(r.kept);
  for (int64_t a : axes) r.strides[static_cast<size_t>(a)] = 0;
  for (size_t d = 0; d < shape.size(); ++d)
    if (keep || std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) == axes.end()) r.result.push_back(r.kept[d]);
  return r;
}

bool keep_dims(const Node& n) { return n.attr_or("keep_dims", n.attr_or("keepdims", false)); }

// Accumulates in Acc: out = finish(fold(first, x...), count).
template <class T, class Acc, class Fold, class Finish>
void reduce_typed(OpCall& call, Acc first, Fold fold, Finish finish) {
  const Tensor& x = input(call, 0);
  Reduction r = plan_reduction(x.shape(), axes_of(input(call, 1), x.rank()), keep_dims(call.node));
  Tensor out(x.dtype(), r.kept);
  std::vector<Acc> acc(static_cast<size_t>(out.size()), first);
  const T* in = x.data<T>();
  walk(x.shape(), {r.strides}, [&](int64_t i, const int64_t* at) {
    acc[static_cast<size_t>(at[0])] = fold(acc[static_cast<size_t>(at[0])], static_cast<Acc>(widen(in[i])));
  });
  int64_t count = out.size() ? x.size() / out.size() : 0;
  for (int64_t i = 0; i < out.size(); ++i)
    out.data<T>()[i] = static_cast<T>(static_cast<wide_t<T>>(finish(acc[static_cast<size_t>(i)], count)));
  call.out = {out.reshaped(r.result)};
}

void eval_sum_like(OpCall& call, bool mean) {
  on_numeric(input(call, 0).dtype(), [&]<class T>() {
    if constexpr (std::is_integral_v<T>) {
      reduce_typed<T, int64_t>(
          call, 0, [](int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); },
          [&](int64_t a, int64_t n) { return mean ? (n ? a / n : 0) : a; });
    } else {
      reduce_typed<T, double>(
          call, 0.0, [](double a, double b) { return a + b; },
          [&](double a, int64_t n) { return mean ? a / static_cast<double>(n) : a; });
    }
  });
}

template <class Better>
void extreme(OpCall& call, bool maximum, Better better) {
  on_numeric(input(call, 0).dtype(), [&]<class T>() {
    using W = wide_t<T>;
    W first =
        maximum ? (std::numeric_limits<W>::has_infinity ? -std::numeric_limits<W>::infinity() : std::numeric_limits<W>::lowest())
                : (std::numeric_limits<W>::has_infinity ? std::numeric_limits<W>::infinity() : std::numeric_limits<W>::max());
    reduce_typed<T, W>(
        call, first, [&](W a, W b) { return a != a                     ? a
                                            : (b != b || better(b, a)) ? b
                                                                       : a; }, [](W a, int64_t) { return a; });
  });
}

void eval_prod(OpCall& call) {
  on_numeric(input(call, 0).dtype(), [&]<class T>() {
    using W = wide_t<T>;
    reduce_typed<T, W>(
        call, W(1),
        [](W a, W b) {
          if constexpr (std::is_integral_v<W>)
            return static_cast<W>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
          else
            return a * b;
        },
        [](W a, int64_t) { return a; });
  });
}
void eval_euclidean(OpCall& call) {
  on_numeric(input(call, 0).dtype(), [&]<class T>() {
    reduce_typed<T, double>(
        call, 0.0, [](double a, double b) { return a + b * b; }, [](double a, int64_t) { return std::sqrt(a); });
  });
}
void eval_all(OpCall& call) {
  reduce_typed<bool, bool>(
      call, true, [](bool a, bool b) { return a && b; }, [](bool a, int64_t) { return a; });
}
void eval_any(OpCall& call) {
  reduce_typed<bool, bool>(
      call, false, [](bool a, bool b) { return a || b; }, [](bool a, int64_t) { return a; });
}

void infer_reduce(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (!known(call, 0) || call.in.size() < 2) return;
  if (call.in[1].constant) {
    call.out[0].shape = Shape{};
    std::vector<int64_t> axes = axes_of(*call.in[1].constant, static_cast<int64_t>(known(call, 0)->size()));
    for (size_t d = 0; d < known(call, 0)->size(); ++d) {
      bool reduced = std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) != axes.end();
      if (!reduced)
        call.out[0].shape->push_back((*known(call, 0))[d]);
      else if (keep_dims(call.node))
        call.out[0].shape->push_back(1);
    }
  } else if (keep_dims(call.node)) {
    call.out[0].shape = Shape(known(call, 0)->size(), -1);
  }
}

template <class Better>
void arg_extreme(OpCall& call, Better better) {
  const Tensor& x = input(call, 0);
  int64_t axis = axis_of(input(call, 1).as_int(), x.rank());
  Shape s = x.shape();
  s.erase(s.begin() + axis);
  DType type = call.node.attr_or("output_type", DType::i64);
  Tensor out(type, s);
  int64_t inner = elements(Shape(x.shape().begin() + axis + 1, x.shape().end())), size = x.dim(static_cast<int>(axis));
  need(size > 0 || out.size() == 0, "cannot search an empty dimension");
  on_any(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < out.size(); ++i) {
      const T* p = x.data<T>() + i / inner * size * inner + i % inner;
      int64_t best = 0;
      for (int64_t k = 1; k < size; ++k)
        if (better(widen(p[k * inner]), widen(p[best * inner]))) best = k;
      if (type == DType::i32)
        out.data<int32_t>()[i] = static_cast<int32_t>(best);
      else
        out.data<int64_t>()[i] = best;
    }
  });
  call.out = {out};
}
void infer_arg(InferCall& call) {
  call.out = {fact(call.node.attr_or("output_type", DType::i64))};
  if (!known(call, 0) || call.in.size() < 2 || !call.in[1].constant) return;
  Shape s = *known(call, 0);
  s.erase(s.begin() + axis_of(call.in[1].constant->as_int(), static_cast<int64_t>(s.size())));
  call.out[0].shape = s;
}

// Unsorted top k in TensorFlow's own order: a heap of k + 1 from which the least is dropped, one newcomer at a time. A row
// that is wanted whole stays as it is.
template <class Before>
void keep_heap(std::vector<int32_t>& order, int64_t k, Before before) {
  std::vector<int32_t> heap(order.begin(), order.begin() + k + 1);
  std::make_heap(heap.begin(), heap.end(), before);
  std::pop_heap(heap.begin(), heap.end(), before);
  for (size_t i = static_cast<size_t>(k) + 1; i < order.size(); ++i)
    if (before(order[i], heap.front())) {
      heap.back() = order[i];
      std::pop_heap(heap.begin(), heap.end(), before);
    }
  std::copy(heap.begin(), heap.end() - 1, order.begin());
}

// The first k of all, in order. Equal ones have their places, so that every way of sorting gives the same unless there are NaNs.
template <class Before>
void sort_first(std::vector<int32_t>& order, int64_t k, Before before, bool has_nan) {
  if (has_nan) return std::stable_sort(order.begin(), order.end(), before);
  if (k < static_cast<int64_t>(order.size())) std::nth_element(order.begin(), order.begin() + k, order.end(), before);
  std::sort(order.begin(), order.begin() + k, before);
}

void eval_top_k(OpCall& call) {
  const Tensor& x = input(call, 0);
  int64_t k = input(call, 1).as_int();
  need(x.rank() >= 1 && k >= 0 && k <= x.dim(-1), "k is out of range");
  Shape s = x.shape();
  int64_t size = s.back(), rows = size ? x.size() / size : 0;
  s.back() = k;
  Tensor values(x.dtype(), s), index(DType::i32, s);
  on_numeric(x.dtype(), [&]<class T>() {
    std::vector<int32_t> order(static_cast<size_t>(size));
    for (int64_t r = 0; r < rows; ++r) {
      const T* p = x.data<T>() + r * size;
      std::iota(order.begin(), order.end(), 0);
      auto before = [&](int32_t i, int32_t j) { return widen(p[i]) > widen(p[j]) || (widen(p[i]) == widen(p[j]) && i < j); };
      // Stable: NaNs have no order that std::sort could rely on.
      if (call.node.attr_or("sorted", true) || k == size)
        sort_first(order, k, before, std::any_of(p, p + size, [](T v) { return widen(v) != widen(v); }));
      else if (k > 0 && k < size)
        keep_heap(order, k, before);
      for (int64_t i = 0; i < k; ++i) {
        values.data<T>()[r * k + i] = p[order[static_cast<size_t>(i)]];
        index.data<int32_t>()[r * k + i] = order[static_cast<size_t>(i)];
      }
    }
  });
  call.out = {values, index};
}

void infer_top_k(InferCall& call) {
  call.out = {fact(call.in[0].dtype), fact(DType::i32)};
  if (!known(call, 0) || known(call, 0)->empty()) return;
  Shape s = *known(call, 0);
  s.back() = call.in.size() > 1 && call.in[1].constant ? call.in[1].constant->as_int() : -1;
  call.out[0].shape = call.out[1].shape = s;
}

void eval_where(OpCall& call) {
  const Tensor& x = input(call, 0);
  std::vector<int64_t> hits(static_cast<size_t>(x.size()));
  on_any(x.dtype(), [&]<class T>() {
    const T* p = x.data<T>();
    size_t count = 0;
    for (int64_t i = 0; i < x.size(); ++i) {
      hits[count] = i;
      count += widen(p[i]) != 0;
    }
    hits.resize(count);
  });
  Tensor out(DType::i64, {static_cast<int64_t>(hits.size()), x.rank()});
  std::vector<int64_t> own = strides_of(x.shape());
  if (x.rank() == 1) std::copy(hits.begin(), hits.end(), out.data<int64_t>());
  for (size_t h = 0; h < hits.size() && x.rank() != 1; ++h)
    for (size_t d = 0; d < own.size(); ++d)
      out.data<int64_t>()[h * own.size() + d] = hits[h] / own[d] % x.dim(static_cast<int>(d));
  call.out = {out};
}

void infer_where(InferCall& call) {
  call.out = {fact(DType::i64, Shape{-1, known(call, 0) ? static_cast<int64_t>(known(call, 0)->size()) : -1})};
}

void select(OpCall& call, const Shape& condition_shape) {
  const Tensor &c = input(call, 0), &a = input(call, 1), &b = input(call, 2);
  need(c.dtype() == DType::boolean && a.dtype() == b.dtype(), "needs a bool condition and two inputs of one type");
  Shape shape = broadcast_shapes(broadcast_shapes(condition_shape, a.shape()), b.shape());
  Tensor out(a.dtype(), shape);
  walk(shape,
       {broadcast_strides(condition_shape, shape), broadcast_strides(a.shape(), shape), broadcast_strides(b.shape(), shape)},
       [&](int64_t i, const int64_t* at) {
         bool first = c.data<bool>()[at[0]];
         copy_element(out, i, first ? a : b, first ? at[1] : at[2]);
       });
  call.out = {out};
}
void eval_select(OpCall& call) {
  Shape c = input(call, 0).shape();
  need(input(call, 1).shape() == input(call, 2).shape(), "both sides must have one shape");
  if (c.size() == 1 && input(call, 1).rank() > 1) c.resize(call.in[1].shape().size(), 1);
  select(call, c);
}
void eval_select_v2(OpCall& call) { select(call, input(call, 0).shape()); }
void infer_select(InferCall& call) {
  if (call.in.size() < 2) return call.out.assign(1, Fact{});
  std::optional<Shape> shape = call.in[1].shape;
  if (call.node.op == "SelectV2")
    for (size_t i : {size_t{0}, size_t{2}})
      shape = shape && known(call, i) ? broadcast_partial(*shape, *known(call, i)) : std::nullopt;
  call.out = {fact(call.in[1].dtype, shape)};
}

template <class F>
void cumulative(OpCall& call, double first, F f) {
  const Tensor& x = input(call, 0);
  int64_t axis = axis_of(input(call, 1).as_int(), x.rank()), size = x.dim(static_cast<int>(axis));
  int64_t inner = elements(Shape(x.shape().begin() + axis + 1, x.shape().end()));
  bool exclusive = call.node.attr_or("exclusive", false), reverse = call.node.attr_or("reverse", false);
  Tensor out(x.dtype(), x.shape());
  on_numeric(x.dtype(), [&]<class T>() {
    for (int64_t line = 0; size && line < x.size() / size; ++line) {
      int64_t base = line / inner * size * inner + line % inner;
      auto acc = static_cast<wide_t<T>>(first);
      for (int64_t k = 0; k < size; ++k) {
        int64_t i = base + (reverse ? size - 1 - k : k) * inner;
        auto next = held<T>(static_cast<wide_t<T>>(f(acc, widen(x.data<T>()[i]))));
        out.data<T>()[i] = static_cast<T>(exclusive ? acc : next);
        acc = next;
      }
    }
  });
  call.out = {out};
}

void eval_cumulative_logsumexp(OpCall& call) {
  need(is_floating(input(call, 0).dtype()), "needs floating numbers");
  cumulative(call, -std::numeric_limits<double>::infinity(), [](auto a, auto b) {
    const auto top = std::max(a, b), low = std::min(a, b);
    return low == top && std::isinf(top) ? top : top + std::log1p(std::exp(low - top));
  });
}

template <class Fold>
void segments(OpCall& call, double first, int64_t count, Fold fold, bool mean = false) {
  const Tensor &x = input(call, 0), &ids = input(call, 1);
  need(ids.rank() <= x.rank(), "segment ids have more dimensions than the data");
  int64_t inner = elements(Shape(x.shape().begin() + ids.rank(), x.shape().end()));
  Shape s{count};
  s.insert(s.end(), x.shape().begin() + ids.rank(), x.shape().end());
  Tensor out(x.dtype(), s);
  on_numeric(x.dtype(), [&]<class T>() {
    wide_t<T> max = std::numeric_limits<wide_t<T>>::max(), min = std::numeric_limits<wide_t<T>>::lowest();
    if constexpr (sizeof(T) == 2 && std::is_floating_point_v<wide_t<T>>) {
      max = std::is_same_v<T, Half> ? 65504.0f : 0x1.fep127f;
      min = -max;
    }
    std::vector<wide_t<T>> acc(static_cast<size_t>(out.size()), first == 0 || first == 1 ? static_cast<wide_t<T>>(first)
                                                                : first > 0              ? max
                                                                                         : min);
    std::vector<int64_t> seen(static_cast<size_t>(count), 0);
    for (int64_t i = 0; i < ids.size(); ++i) {
      int64_t id = ids.as_int(i);
      if (id < 0) continue;
      need(id < count, "segment id " + std::to_string(id) + " is out of range");
      ++seen[static_cast<size_t>(id)];
      for (int64_t k = 0; k < inner; ++k) {
        auto& a = acc[static_cast<size_t>(id * inner + k)];
        a = held<T>(static_cast<wide_t<T>>(fold(a, widen(x.data<T>()[i * inner + k]))));
      }
    }
    bool unsorted = call.node.op.starts_with("Unsorted");
    for (int64_t i = 0; i < out.size(); ++i) {
      int64_t n = seen[static_cast<size_t>(i / inner)];
      auto a = acc[static_cast<size_t>(i)];
      if (mean && n) a = static_cast<wide_t<T>>(a / static_cast<wide_t<T>>(n));
      if (n == 0 && !unsorted && (first != 0 && first != 1)) a = 0;
      out.data<T>()[i] = static_cast<T>(a);
    }
  });
  call.out = {out};
}
int64_t segment_count(const OpCall& call) {
  if (call.node.op.starts_with("Unsorted")) {
    int64_t n = input(call, 2).as_int();
    need(n >= 0 && n < int64_t{1} << 31, "num_segments is out of range");
    return n;
  }
  const Tensor& ids = input(call, 1);
  return ids.size() ? ids.as_int(ids.size() - 1) + 1 : 0;
}
void infer_segments(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  const Shape *x = known(call, 0), *ids = known(call, 1);
  if (!x || !ids || ids->size() > x->size()) return;
  call.out[0].shape = Shape{-1};
  if (call.node.op.starts_with("Unsorted") && call.in.size() > 2 && call.in[2].constant)
    call.out[0].shape = Shape{call.in[2].constant->as_int()};
  call.out[0].shape->insert(call.out[0].shape->end(), x->begin() + static_cast<long>(ids->size()), x->end());
}
#define SEGMENT(NAME, FIRST, EXPR)                                                                                     \
  {                                                                                                                    \
    NAME, infer_segments, [](OpCall& c) { segments(c, FIRST, segment_count(c), [](auto a, auto b) { return EXPR; }); } \
  }

}  // namespace

const std::vector<Op>& reduce_ops() {
  static const std::vector<Op> rows = {
      {"All", infer_reduce, eval_all},
      {"Any", infer_reduce, eval_any},
      {"ArgMax", infer_arg, [](OpCall& c) { arg_extreme(c, [](auto a, auto b) { return a > b; }); }},
      {"ArgMin", infer_arg, [](OpCall& c) { arg_extreme(c, [](auto a, auto b) { return a < b; }); }},
      {"Cumprod", infer_same, [](OpCall& c) { cumulative(c, 1, [](auto a, auto b) { return a * b; }); }},
      {"Cumsum", infer_same, [](OpCall& c) { cumulative(c, 0, [](auto a, auto b) { return a + b; }); }},
      {"CumulativeLogsumexp", infer_same, eval_cumulative_logsumexp},
      {"EuclideanNorm", infer_reduce, eval_euclidean},
      {"Max", infer_reduce, [](OpCall& c) { extreme(c, true, [](auto a, auto b) { return a > b; }); }},
      {"Mean", infer_reduce, [](OpCall& c) { eval_sum_like(c, true); }},
      {"Min", infer_reduce, [](OpCall& c) { extreme(c, false, [](auto a, auto b) { return a < b; }); }},
      {"Prod", infer_reduce, eval_prod},
      SEGMENT("SegmentMax", -2, std::max(a, b)),
      {"SegmentMean", infer_segments,
       [](OpCall& c) {
         segments(
             c, 0, segment_count(c), [](auto a, auto b) { return a + b; }, true);
       }},
      SEGMENT("SegmentMin", 2, std::min(a, b)),
      SEGMENT("SegmentProd", 1, a * b),
      SEGMENT("SegmentSum", 0, a + b),
      {"Select", infer_select, eval_select},
      {"SelectV2", infer_select, eval_select_v2},
      {"Sum", infer_reduce, [](OpCall& c) { eval_sum_like(c, false); }},
      {"TopKV2", infer_top_k, eval_top_k},
      SEGMENT("UnsortedSegmentMax", -2, std::max(a, b)),
      SEGMENT("UnsortedSegmentMin", 2, std::min(a, b)),
      SEGMENT("UnsortedSegmentProd", 1, a * b),
      SEGMENT("UnsortedSegmentSum", 0, a + b),
      {"Where", infer_where, eval_where},
  };
  return rows;
}

}  // namespace cytodet::graph::ops

namespace cytodet::graph {

bool are_height_and_width(const Tensor* axes) {
  if (!axes || (axes->dtype() != DType::i32 && axes->dtype() != DType::i64)) return false;
  std::vector<int64_t> list = axes->as_ints();
  for (int64_t& a : list) a = a < 0 ? a + 4 : a;
  std::sort(list.begin(), list.end());
  return list == std::vector<int64_t>{1, 2};
}

}  // namespace cytodet::graph
