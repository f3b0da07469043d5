// Along axes: joined, split, cut out, padded, reversed.
#include <algorithm>
#include <limits>
#include <numeric>

#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

void concat(Call& c) {
  Builder& b = c.b;
  std::vector<Value> in = c.all();
  if (in.empty()) refuse("joins nothing", "the model is damaged");
  const auto known = std::find_if(in.begin(), in.end(), [&](Value v) { return b.fact(v).shape.has_value(); });
  int64_t axis = c.integer("axis", 1);
  if (known != in.end()) axis = Call::axis_in(axis, b.rank(*known));
  if (in.size() == 1) return c.set(0, b.add("Identity", {in[0]}));
  in.push_back(b.int32(axis));
  c.set(0, b.add("ConcatV2", in));
}

void split(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t axis = Call::axis_in(c.integer("axis", 0), b.rank(x)), parts = static_cast<int64_t>(c.out.size());
  const int64_t size = b.dims(x)[static_cast<size_t>(axis)];
  std::vector<int64_t> sizes = c.integers("split");
  std::optional<Value> given;
  if (c.has(1)) {
    if (const Tensor* t = c.constant(1))
      sizes = t->as_ints();
    else
      given = c.in(1);
  }
  Value y;
  if (!given && sizes.empty() && size >= 0 && size % parts) {  // the last is the smaller
    const int64_t each = (size + parts - 1) / parts;
    for (int64_t i = 0, left = size; i < parts; ++i, left -= sizes.back()) sizes.push_back(std::min(each, left));
  }
  if (given || !sizes.empty()) {
    if (!given && static_cast<int64_t>(sizes.size()) != parts)
      refuse("has sizes for another number of outputs", "the model is damaged");
    y = b.add("SplitV", {x, given ? *given : b.ints(sizes), b.int32(axis)}, {{"num_split", parts}});
  } else {
    y = b.add("Split", {b.int32(axis), x}, {{"num_split", parts}});
  }
  for (size_t i = 0; i < c.out.size(); ++i) c.set(i, parts == 1 ? y : Builder::output(y, static_cast<int>(i)));
}

// A list with an entry for every axis: those of `axes` take `values`, the rest `fallback`. All may be computed.
Value spread_over(Builder& b, int64_t rank, Value axes, Value values, int64_t fallback) {
  const Value all = b.ints(std::vector<int64_t>(static_cast<size_t>(rank), fallback));
  return b.add("TensorScatterUpdate", {all, axes, values}, {{"T", DType::i64}, {"Tindices", DType::i64}});
}
// Axes in [-rank, rank) as places in such a list, [n, 1].
Value as_places(Builder& b, Value axes, int64_t rank) {
  return b.add("ExpandDims", {b.add("FloorMod", {b.cast(axes, DType::i64), b.int64(rank)}), b.int32(1)});
}

Value strided_slice(Builder& b, Value x, Value begin, Value end, Value strides, int64_t begin_mask, int64_t end_mask) {
  return b.add("StridedSlice", {x, begin, end, strides},
               {{"begin_mask", begin_mask},
                {"end_mask", end_mask},
                {"ellipsis_mask", int64_t{0}},
                {"new_axis_mask", int64_t{0}},
                {"shrink_axis_mask", int64_t{0}}});
}

void slice_constant(Call& c, std::vector<int64_t> starts, std::vector<int64_t> ends, std::vector<int64_t> axes,
                    std::vector<int64_t> steps) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const Shape s = b.dims(x);
  const size_t rank = s.size();
  if (axes.empty()) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  steps.resize(steps.empty() ? starts.size() : steps.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size() || rank > 60)
    refuse("has lists of different lengths", "the model is damaged");
  std::vector<int64_t> begin(rank, 0), end(rank, 0), stride(rank, 1);
  int64_t begin_mask = (int64_t{1} << rank) - 1, end_mask = begin_mask;
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t d = static_cast<size_t>(Call::axis_in(axes[i], static_cast<int64_t>(rank)));
    if (steps[i] == 0) refuse("has steps of 0", "the model is damaged");
    stride[d] = steps[i];
    const int64_t bit = int64_t{1} << d, far = int64_t{1} << 31;
    begin[d] = std::clamp(starts[i], -far, far - 1);
    begin_mask &= ~bit;
    if (ends[i] >= far - 1 && steps[i] > 0) continue;
    if (ends[i] <= -far + 1 && steps[i] < 0) continue;
    end[d] = std::clamp(ends[i], -far, far - 1);
    end_mask &= ~bit;
  }
  c.set(0, strided_slice(b, x, b.ints(begin), b.ints(end), b.ints(stride), begin_mask, end_mask));
}

void slice(Call& c) {
  Builder& b = c.b;
  if (c.opset < 10) return slice_constant(c, c.integers("starts"), c.integers("ends"), c.integers("axes"), {});
  bool constant = true;
  for (size_t i = 1; i < c.inputs(); ++i) constant = constant && (!c.has(i) || c.constant(i));
  const auto list = [&](size_t i) { return c.has(i) ? c.constant(i)->as_ints() : std::vector<int64_t>(); };
  if (constant) return slice_constant(c, list(1), list(2), list(3), list(4));
  const Value x = c.in(0);
  const int64_t rank = b.rank(x), n = b.static_dims(c.in(1)).at(0);
  std::vector<int64_t> first(static_cast<size_t>(n));
  std::iota(first.begin(), first.end(), 0);
  const Value places = as_places(b, c.has(3) ? c.in(3) : b.ints(first), rank);
  const auto full = [&](size_t i, int64_t fallback) {
    return spread_over(b, rank, places, b.cast(c.in(i), DType::i64), fallback);
  };
  const Value ones = b.ints(std::vector<int64_t>(static_cast<size_t>(rank), 1));
  int64_t whole = 0;  // a bit for each axis that is not cut
  if (!c.has(3) || c.constant(3)) {
    const std::vector<int64_t> cut = Call::axes_in(c.has(3) ? list(3) : first, rank);
    for (int64_t d = 0; d < std::min<int64_t>(rank, 62); ++d)
      if (!std::binary_search(cut.begin(), cut.end(), d)) whole |= int64_t{1} << d;
  }
  const Value begin = full(1, 0), end = full(2, std::numeric_limits<int32_t>::max());
  c.set(0, strided_slice(b, x, begin, end, c.has(4) ? full(4, 1) : ones, whole, whole));
}

// Elements beyond the edges, along one axis: the edge again, or the map from its other end.
Value continued(Builder& b, Value x, int64_t axis, Value before, Value after, bool wrapped) {
  const Value size = b.dimension(x, axis);
  const Value at = b.add("Range", {b.add("Neg", {before}), b.add("AddV2", {size, after}), b.int64(1)});
  const Value inside = wrapped ? b.add("FloorMod", {at, size})
                               : b.add("Minimum", {b.add("Maximum", {at, b.int64(0)}), b.add("Sub", {size, b.int64(1)})});
  return b.add("GatherV2", {x, inside, b.int32(axis)});
}

struct Pads {
  std::optional<std::vector<int64_t>> known;  // before every axis, then after
  Value pairs;                                // [rank, 2]
};
Pads pads_of(const Call& c, int64_t rank) {
  Builder& b = c.b;
  if (c.opset < 11) return {c.integers(c.has_attr("pads") ? "pads" : "paddings"), {}};
  const bool some_axes = c.has(3);
  const Tensor *t = c.constant(1), *axes = some_axes ? c.constant(3) : nullptr;
  if (t && (axes || !some_axes)) {
    const std::vector<int64_t> given = t->as_ints();
    if (!axes) return {given, {}};
    std::vector<int64_t> all(static_cast<size_t>(2 * rank), 0);
    const std::vector<int64_t> at = axes->as_ints();
    if (given.size() != 2 * at.size()) refuse("has pads for another number of axes", "the model is damaged");
    for (size_t i = 0; i < at.size(); ++i) {
      const size_t d = static_cast<size_t>(Call::axis_in(at[i], rank));
      all[d] = given[i];
      all[d + static_cast<size_t>(rank)] = given[i + at.size()];
    }
    return {all, {}};
  }
  const Value ends = b.add("Reshape", {b.cast(c.in(1), DType::i64), b.ints({2, -1})});
  Value pairs = b.transpose(ends, {1, 0});
  if (some_axes) {
    const Value zeros = b.constant(Tensor(DType::i64, {rank, 2}));
    pairs =
        b.add("TensorScatterUpdate", {zeros, as_places(b, c.in(3), rank), pairs}, {{"T", DType::i64}, {"Tindices", DType::i64}});
  }
  return {{}, pairs};
}

void pad(Call& c) {
  Builder& b = c.b;
  Value x = c.in(0);
  const int64_t rank = b.rank(x);
  const std::string mode = c.text("mode", "constant");
  Pads pads = pads_of(c, rank);
  if (pads.known) {
    std::vector<int64_t>& p = *pads.known;
    if (static_cast<int64_t>(p.size()) != 2 * rank)
      refuse("has " + std::to_string(p.size()) + " pads for " + std::to_string(rank) + " axes", "the model is damaged");
    std::vector<int64_t> list;
    for (size_t d = 0; d < static_cast<size_t>(rank); ++d) {  // negative ones cut
      int64_t &before = p[d], &after = p[d + static_cast<size_t>(rank)];
      if (before < 0 || after < 0) {
        const int64_t n = b.dims(x)[d];
        if (n < 0 || n + std::min<int64_t>(0, before) + std::min<int64_t>(0, after) < 0) refuse("cuts more than there is");
        x = b.slice(x, static_cast<int64_t>(d), std::max<int64_t>(0, -before), n + std::min<int64_t>(0, after));
        before = std::max<int64_t>(0, before);
        after = std::max<int64_t>(0, after);
      }
      list.insert(list.end(), {before, after});
    }
    pads.pairs = b.constant(Tensor::from<int64_t>({rank, 2}, list));
  }
  if (mode == "constant") {
    const Value fill = c.opset >= 11 && c.has(2) ? b.reshape(c.in(2), {}) : b.number(c.real("value", 0), x);
    const Tensor* t = b.constant(fill);
    const bool zero = t && t->dtype() != DType::boolean && t->as_double() == 0;
    return c.set(0, zero ? b.add("Pad", {x, pads.pairs}) : b.add("PadV2", {x, pads.pairs, fill}));
  }
  if (mode == "reflect") return c.set(0, b.add("MirrorPad", {x, pads.pairs}, {{"mode", "REFLECT"}}));
  if (mode != "edge" && mode != "wrap") refuse("has mode " + mode, "known are constant, edge, reflect, wrap");
  for (int64_t d = 0; d < rank; ++d) {
    const auto end = [&](int64_t which) {
      if (pads.known) return b.int64((*pads.known)[static_cast<size_t>(d + which * rank)]);
      return b.reshape(b.add("Slice", {pads.pairs, b.ints({d, which}), b.ints({1, 1})}), {});
    };
    if (pads.known && (*pads.known)[static_cast<size_t>(d)] == 0 && (*pads.known)[static_cast<size_t>(d + rank)] == 0) continue;
    x = continued(b, x, d, end(0), end(1), mode == "wrap");
  }
  c.set(0, x == c.in(0) ? b.add("Identity", {x}) : x);
}

void reverse_sequence(Call& c) {
  c.set(0, c.b.add("ReverseSequence", {c.in(0), c.in(1)},
                   {{"seq_dim", c.integer("time_axis", 0)}, {"batch_dim", c.integer("batch_axis", 1)}}));
}

// Elements on and above a diagonal, or on and below it; 0 elsewhere.
void triangle(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t rank = b.rank(x);
  if (rank < 2) refuse("has no matrix", "the model is damaged");
  const auto numbers = [&](int64_t axis, int64_t along) {
    const Value line = b.add("Range", {b.int64(0), b.dimension(x, axis), b.int64(1)});
    return b.add("ExpandDims", {line, b.int32(along)});
  };
  const Value shift = b.add("Sub", {numbers(rank - 1, 0), numbers(rank - 2, 1)});
  const Value k = c.has(1) ? b.reshape(c.in(1), {}) : b.int64(0);
  const Value kept = b.add(c.flag("upper", true) ? "GreaterEqual" : "LessEqual", {shift, k});
  c.set(0, b.add("SelectV2", {kept, x, b.number(0, x)}));
}

}  // namespace

const std::vector<OnnxOp>& axis_entries() {
  static const std::vector<OnnxOp> entries = {
      {"Concat", 4, concat}, {"Pad", 2, pad},     {"ReverseSequence", 10, reverse_sequence},
      {"Slice", 1, slice},   {"Split", 2, split}, {"Trilu", 14, triangle},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
