// Elements by their places: taken out, put in, found.
#include "graph/io/onnx/op_table.h"

namespace cytodet::graph::onnx {
namespace {

// Indices below 0 count from the end of a dimension.
Value from_start(Builder& b, Value at, Value size) {
  if (const Tensor* t = b.constant(at)) {
    bool negative = false;
    for (int64_t i = 0; i < t->size(); ++i) negative = negative || t->as_int(i) < 0;
    if (!negative) return at;
  }
  const Value n = b.cast(size, b.type(at));
  return b.add("SelectV2", {b.add("Less", {at, b.number(0, at)}), b.add("AddV2", {at, n}), at});
}
Value as_indices(Builder& b, Value v) {
  const DType t = b.type(v);
  return t == DType::i32 || t == DType::i64 ? v : b.cast(v, DType::i64);
}

void gather(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t axis = Call::axis_in(c.integer("axis", 0), b.rank(x));
  c.set(0, b.add("GatherV2", {x, from_start(b, as_indices(b, c.in(1)), b.dimension(x, axis)), b.int32(axis)}));
}

// For every element of `at` its place in a tensor: its own, with what `at` holds in place of its number along the axis.
Value places_along(Builder& b, Value x, Value at, int64_t axis) {
  const int64_t rank = b.rank(at);
  const Value shape = b.shape(at), index = b.cast(from_start(b, as_indices(b, at), b.dimension(x, axis)), DType::i64);
  std::vector<Value> parts;
  for (int64_t d = 0; d < rank; ++d) {
    if (d == axis) {
      parts.push_back(index);
      continue;
    }
    Value line = b.add("Range", {b.int64(0), b.dimension(at, d), b.int64(1)});
    Shape wide(static_cast<size_t>(rank), 1);
    wide[static_cast<size_t>(d)] = -1;
    parts.push_back(b.add("BroadcastTo", {b.add("Reshape", {line, b.ints(wide)}), shape}));
  }
  return b.add("Pack", parts, {{"axis", rank}});
}

void gather_elements(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t axis = Call::axis_in(c.integer("axis", 0), b.rank(x));
  c.set(0, b.add("GatherNd", {x, places_along(b, x, c.in(1), axis)}));
}

// The last dimension of the indices names elements of the dimensions of x after the batch's.
Value checked_places(Builder& b, Value x, Value at, int64_t batch) {
  const Shape s = b.dims(at);
  const int64_t depth = s.empty() ? -1 : s.back();
  if (depth < 0) refuse("has indices of a number of dimensions that is not known");
  const Value sizes = b.slice(b.shape(x), 0, batch, batch + depth);
  return from_start(b, as_indices(b, at), sizes);
}

void gather_nd(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t batch = c.integer("batch_dims", 0);
  Value at = b.cast(checked_places(b, x, c.in(1), batch), DType::i64);
  if (batch < 0 || batch >= b.rank(at)) refuse("has batch_dims " + std::to_string(batch), "the model is damaged");
  std::vector<Value> parts;
  for (int64_t d = 0; d < batch; ++d) {
    const int64_t rank = b.rank(at);
    Shape wide(static_cast<size_t>(rank), 1);
    wide[static_cast<size_t>(d)] = -1;
    const Value line = b.add("Reshape", {b.add("Range", {b.int64(0), b.dimension(at, d), b.int64(1)}), b.ints(wide)});
    const Value lead = b.add("ConcatV2", {b.slice(b.shape(at), 0, 0, rank - 1), b.ints({1}), b.int32(0)});
    parts.push_back(b.add("BroadcastTo", {line, lead}));
  }
  if (batch > 0) {
    const int64_t axis = b.rank(at) - 1;
    parts.push_back(at);
    parts.push_back(b.int32(axis));
    at = b.add("ConcatV2", parts);
  }
  c.set(0, b.add("GatherNd", {x, at}));
}

// ScatterND and ScatterElements with a reduction. For several updates of one element TensorFlow has sums, maxima and minima;
// products are taken over all updates of an element first.
Value scattered(const Call& c, Value x, Value at, Value updates, const std::string& reduction) {
  Builder& b = c.b;
  AttrMap attrs{{"T", b.type(x)}, {"Tindices", b.type(at)}};
  const auto with = [&](const char* op) { return b.add(op, {x, at, updates}, attrs); };
  if (reduction == "none") return with("TensorScatterUpdate");
  if (reduction == "add") return with("TensorScatterAdd");
  if (reduction == "max") return with("TensorScatterMax");
  if (reduction == "min") return with("TensorScatterMin");
  if (reduction != "mul") refuse("has reduction " + reduction, "known are none, add, mul, max, min");
  const Shape s = b.static_dims(x);
  const int64_t rank = b.rank(at), depth = b.dims(at).back();
  if (depth < 0 || depth > static_cast<int64_t>(s.size()))
    refuse("has indices of more dimensions than its data", "the model is damaged");
  std::vector<int64_t> step(static_cast<size_t>(depth), 1);
  int64_t rows = 1, inner = 1;
  for (int64_t d = depth - 1; d >= 0; --d) {
    step[static_cast<size_t>(d)] = rows;
    rows *= s[static_cast<size_t>(d)];
  }
  for (size_t d = static_cast<size_t>(depth); d < s.size(); ++d) inner *= s[d];
  const Value flat =
      b.add("Sum", {b.add("Mul", {b.cast(at, DType::i64), b.ints(step)}), b.int32(rank - 1)}, {{"keep_dims", false}});
  const Value ids = b.add("Reshape", {flat, b.ints({-1})}), values = b.add("Reshape", {updates, b.ints({-1, inner})});
  const Value products = b.add("UnsortedSegmentProd", {values, ids, b.int32(rows)},
                               {{"T", b.type(x)}, {"Tindices", DType::i64}, {"Tnumsegments", DType::i32}});
  return b.add("Mul", {x, b.add("Reshape", {products, b.ints(s)})});
}

void scatter_nd(Call& c) {
  c.set(0, scattered(c, c.in(0), checked_places(c.b, c.in(0), c.in(1), 0), c.in(2), c.text("reduction", "none")));
}

// The rows [n] that are written as a whole, where indices [n, h, w] along the first axis are a column [n, 1, 1] that was
// expanded. Nothing where updates may be narrower than the data's rows: sizes that are not known are taken to be equal where the
// data is a Fill, made for the updates.
std::optional<Value> rows_of_expanded_column(const Call& c) {
  Builder& b = c.b;
  const Node& n = b.graph.node(c.in(1).node);
  if (n.op != "BroadcastTo" || c.in(1).slot != 0) return {};
  const Shape column = b.dims(n.inputs[0]), data = b.dims(c.in(0)), updates = b.dims(c.in(2));
  if (column.size() < 2 || column.size() != data.size() || updates.size() != data.size()) return {};
  NodeId made = c.in(0).node;  // levels are written one after another
  while (b.graph.node(made).op.starts_with("TensorScatter")) made = b.graph.node(made).inputs[0].node;
  const bool made_for_them = b.graph.node(made).op == "Fill";
  for (size_t d = 1; d < data.size(); ++d) {
    const bool equal = data[d] >= 0 && updates[d] >= 0 ? data[d] == updates[d] : made_for_them;
    if (column[d] != 1 || !equal) return {};
  }
  const Value count = b.reshape(b.dimension(c.in(2), 0), {1});  // of one row the expansion may have made many
  return b.add("BroadcastTo", {b.add("Reshape", {n.inputs[0], b.ints({-1})}), count});
}

void scatter_elements(Call& c) {
  Builder& b = c.b;
  const Value x = c.in(0);
  const int64_t axis = Call::axis_in(c.integer("axis", 0), b.rank(x));
  if (const std::optional<Value> written = axis == 0 ? rows_of_expanded_column(c) : std::nullopt) {
    const Value rows = from_start(b, as_indices(b, *written), b.dimension(x, 0));
    return c.set(0, scattered(c, x, b.add("ExpandDims", {rows, b.int32(1)}), c.in(2), c.text("reduction", "none")));
  }
  c.set(0, scattered(c, x, places_along(b, x, c.in(1), axis), c.in(2), c.text("reduction", "none")));
}

void one_hot(Call& c) {
  Builder& b = c.b;
  const Value depth = b.reshape(b.cast(c.in(1), DType::i32), {});
  const Value at = from_start(b, as_indices(b, c.in(0)), depth);
  const auto value = [&](int64_t i) { return b.reshape(b.slice(c.in(2), 0, i, i + 1), {}); };
  const int64_t rank = b.rank(at) + 1, axis = Call::axis_in(c.integer("axis", -1), rank);
  c.set(0, b.add("OneHot", {at, depth, value(1), value(0)}, {{"axis", axis == rank - 1 ? int64_t{-1} : axis}}));
}

Value places_of(Builder& b, Value x) {
  const Value set = b.type(x) == DType::boolean ? x : b.add("NotEqual", {x, b.number(0, x)});
  return b.add("Where", {set}, {{"T", DType::boolean}});
}
void non_zero(Call& c) { c.set(0, c.b.add("Transpose", {places_of(c.b, c.in(0)), c.b.int32s({1, 0})})); }

void compress(Call& c) {
  Builder& b = c.b;
  Value x = c.in(0);
  int64_t axis = 0;
  if (c.has_attr("axis"))
    axis = Call::axis_in(c.integer("axis", 0), b.rank(x));
  else
    x = b.add("Reshape", {x, b.ints({-1})});
  const Value at = b.add("Reshape", {places_of(b, c.in(1)), b.ints({-1})});
  c.set(0, b.add("GatherV2", {x, at, b.int32(axis)}));
}

}  // namespace

const std::vector<OnnxOp>& gather_entries() {
  static const std::vector<OnnxOp> entries = {
      {"Compress", 9, compress},
      {"Gather", 1, gather},
      {"GatherElements", 11, gather_elements},
      {"GatherND", 11, gather_nd},
      {"NonZero", 9, non_zero},
      {"OneHot", 9, one_hot},
      {"Scatter", 9, scatter_elements},
      {"ScatterElements", 11, scatter_elements},
      {"ScatterND", 11, scatter_nd},
  };
  return entries;
}

}  // namespace cytodet::graph::onnx
