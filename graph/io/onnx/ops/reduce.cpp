// Reductions along axes, and what is found along one: places of extremes, largest elements, running sums.
#include <algorithm>
#include <numeric>

#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

// The axes of a reduction: an attribute, or an input (ReduceSum since operator set 13, the rest since 18), which may be computed.
struct Axes {
  Value value;
  std::optional<std::vector<int64_t>> known;  // in [0, rank)
  bool none = false;                          // the input is the answer
};

Axes axes_of_call(const Call& c) {
  Builder& b = c.b;
  std::vector<int64_t> axes = c.integers("axes");
  if (c.has(1)) {
    const Tensor* t = c.constant(1);
    if (!t && b.dims(c.in(1)) != Shape{0}) return {c.in(1), {}, false};
    if (t) axes = t->as_ints();
  }
  // Axes that count from the first dimension do not need the number of dimensions.
  const bool known_rank = b.fact(c.in(0)).shape.has_value();
  if (!known_rank && !axes.empty() && std::all_of(axes.begin(), axes.end(), [](int64_t a) { return a >= 0; }))
    return {b.int32s(axes), axes, false};
  const int64_t rank = b.rank(c.in(0));
  if (axes.empty()) {
    if (c.flag("noop_with_empty_axes", false)) return {c.in(0), {}, true};
    axes.resize(static_cast<size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
  }
  axes = Call::axes_in(axes, rank);
  return {b.int32s(axes), axes, false};
}

struct Reduction {
  const Call& c;
  Axes axes;
  bool keep;
  explicit Reduction(const Call& call) : c(call), axes(axes_of_call(call)), keep(call.flag("keepdims", true)) {}
  Value operator()(const char* op, Value x) const { return axes.none ? x : c.b.add(op, {x, axes.value}, {{"keep_dims", keep}}); }
  Value kept(const char* op, Value x) const { return c.b.add(op, {x, axes.value}, {{"keep_dims", true}}); }
};

template <const char* (*op)()>
void reduce(Call& c) {
  const Reduction r(c);
  const bool logic = c.b.type(c.in(0)) == DType::boolean;
  const std::string name = op();
  const Value y = r(!logic ? name.c_str() : name == "Max" ? "Any" : "All", c.in(0));
  c.set(0, r.axes.none ? c.b.add("Identity", {y}) : y);
}
const char* sum_op() { return "Sum"; }
const char* mean_op() { return "Mean"; }
const char* largest_op() { return "Max"; }
const char* smallest_op() { return "Min"; }
const char* product_op() { return "Prod"; }

void reduce_l1(Call& c) { c.set(0, Reduction(c)("Sum", c.b.add("Abs", {c.in(0)}))); }
void reduce_l2(Call& c) {
  const Value x = c.in(0), sum = Reduction(c)("Sum", c.b.add("Square", {x}));
  if (is_floating(c.b.type(x))) return c.set(0, c.b.add("Sqrt", {sum}));
  c.set(0, c.b.cast(c.b.add("Sqrt", {c.b.cast(sum, DType::f64)}), c.b.type(x)));
}
void reduce_sum_square(Call& c) { c.set(0, Reduction(c)("Sum", c.b.add("Square", {c.in(0)}))); }
void reduce_log_sum(Call& c) { c.set(0, c.b.add("Log", {Reduction(c)("Sum", c.in(0))})); }

// log(sum(e^x)) about the largest x, so that nothing overflows.
void reduce_log_sum_exp(Call& c) {
  const Reduction r(c);
  Builder& b = c.b;
  const Value x = c.in(0);
  if (!r.axes.known || !b.is_static(x) || elements(b.dims(x)) == 0) return c.set(0, b.add("Log", {r("Sum", b.add("Exp", {x}))}));
  const Value top = r.kept("Max", x);
  const Value centre = b.add("SelectV2", {b.add("IsFinite", {top}), top, b.number(0, x)});
  const Value y = b.add("AddV2", {b.add("Log", {r.kept("Sum", b.add("Exp", {b.add("Sub", {x, centre})}))}), centre});
  c.set(0, r.keep ? y : b.squeeze(y, *r.axes.known));
}

template <const char* (*op)()>
void arg_extreme(Call& c) {
  Builder& b = c.b;
  Value x = c.in(0);
  const int64_t axis = Call::axis_in(c.integer("axis", 0), b.rank(x));
  const bool last = c.flag("select_last_index", false);
  if (last) x = b.add("ReverseV2", {x, b.int32s({axis})});
  Value y = b.add(op(), {x, b.int32(axis)}, {{"output_type", DType::i64}});
  if (last) y = b.add("Sub", {b.add("Sub", {b.dimension(x, axis), b.int64(1)}), y});
  c.set(0, c.flag("keepdims", true) ? b.expand_dims(y, {axis}) : y);
}
const char* arg_max_op() { return "ArgMax"; }
const char* arg_min_op() { return "ArgMin"; }

Value scalar_of(Builder& b, Value v) { return b.rank(v) == 0 ? v : b.reshape(v, {}); }

void cumulative_sum(Call& c) {
  c.set(0, c.b.add("Cumsum", {c.in(0), scalar_of(c.b, c.in(1))},
                   {{"exclusive", c.flag("exclusive", false)}, {"reverse", c.flag("reverse", false)}}));
}

// The smallest are the largest of the negated, or of all bits turned over where numbers have no sign.
void top_k(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t rank = b.rank(x), axis = Call::axis_in(c.integer("axis", -1), rank);
  const Value k = c.opset < 10 ? b.int32(c.integer("k", 1)) : b.cast(scalar_of(b, c.in(1)), DType::i32);
  const bool largest = c.flag("largest", true);
  const DType type = b.type(x);
  const bool unsigned_numbers = type == DType::u8 || type == DType::u16 || type == DType::u32 || type == DType::u64;
  const char* turn = unsigned_numbers ? "Invert" : "Neg";
  std::vector<int64_t> perm(static_cast<size_t>(rank));
  std::iota(perm.begin(), perm.end(), 0);
  std::swap(perm[static_cast<size_t>(axis)], perm.back());
  const Value last = b.transpose(x, perm), top = b.add("TopKV2", {largest ? last : b.add(turn, {last}), k}, {{"sorted", true}});
  const Value values = b.transpose(top, perm);
  c.set(0, largest ? values : b.add(turn, {values}));
  c.set(1, b.cast(b.transpose(Builder::output(top, 1), perm), DType::i64));
}

}  // namespace

const std::vector<OnnxOp>& reduce_entries() {
  static const std::vector<OnnxOp> entries = {
      {"ArgMax", 1, arg_extreme<arg_max_op>},
      {"ArgMin", 1, arg_extreme<arg_min_op>},
      {"CumSum", 11, cumulative_sum},
      {"ReduceL1", 1, reduce_l1},
      {"ReduceL2", 1, reduce_l2},
      {"ReduceLogSum", 1, reduce_log_sum},
      {"ReduceLogSumExp", 1, reduce_log_sum_exp},
      {"ReduceMax", 1, reduce<largest_op>},
      {"ReduceMean", 1, reduce<mean_op>},
      {"ReduceMin", 1, reduce<smallest_op>},
      {"ReduceProd", 1, reduce<product_op>},
      {"ReduceSum", 1, reduce<sum_op>},
      {"ReduceSumSquare", 1, reduce_sum_square},
      {"TopK", 1, top_k},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
