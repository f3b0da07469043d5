#include "graph/ops/eval_helpers.h"

#include <utility>

namespace cytodet::graph::ops {

const Tensor& input(const OpCall& call, size_t i) { return call.in[i]; }
void eval_pass(OpCall& call) { call.out = {input(call, 0)}; }
void infer_nothing(InferCall&) {}

int64_t axis_of(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    throw Error("", "axis " + std::to_string(axis) + " is out of range for rank " + std::to_string(rank));
  return axis < 0 ? axis + rank : axis;
}

std::vector<int64_t> axes_of(const Tensor& axes, int64_t rank) {
  std::vector<int64_t> list = axes.as_ints();
  for (int64_t& a : list) a = axis_of(a, rank);
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

Shape shape_of(const Tensor& t) {
  need(t.dtype() == DType::i32 || t.dtype() == DType::i64, "a shape must be int32 or int64, not " + name_of(t.dtype()));
  need(t.rank() <= 1, "a shape must have one dimension");
  Shape s = t.as_ints();
  elements(s);
  return s;
}

Shape broadcast_shapes(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    int64_t x = i + a.size() >= out.size() ? a[i + a.size() - out.size()] : 1;
    int64_t y = i + b.size() >= out.size() ? b[i + b.size() - out.size()] : 1;
    if (x != y && x != 1 && y != 1) throw Error("", "shapes " + to_string(a) + " and " + to_string(b) + " do not broadcast");
    out[i] = x == 1 ? y : x;
  }
  return out;
}

std::optional<Shape> broadcast_partial(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    int64_t x = i + a.size() >= out.size() ? a[i + a.size() - out.size()] : 1;
    int64_t y = i + b.size() >= out.size() ? b[i + b.size() - out.size()] : 1;
    if (x == 1)
      out[i] = y;
    else if (y == 1 || x == y)
      out[i] = x;
    else if (x < 0 || y < 0)
      out[i] = std::max(x, y);
    else
      throw Error("", "shapes " + to_string(a) + " and " + to_string(b) + " do not broadcast");
  }
  return out;
}

std::vector<int64_t> strides_of(const Shape& shape) {
  std::vector<int64_t> s(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) s[i - 1] = s[i] * shape[i];
  return s;
}

std::vector<int64_t> broadcast_strides(const Shape& from, const Shape& to) {
  std::vector<int64_t> own = strides_of(from), out(to.size(), 0);
  need(from.size() <= to.size(), "shapes " + to_string(from) + " and " + to_string(to) + " do not broadcast");
  for (size_t i = 0; i < from.size(); ++i) {
    size_t o = i + to.size() - from.size();
    need(from[i] == to[o] || from[i] == 1, "shapes " + to_string(from) + " and " + to_string(to) + " do not broadcast");
    out[o] = from[i] == 1 ? 0 : own[i];
  }
  return out;
}

void walk(const Shape& shape, const std::vector<std::vector<int64_t>>& strides,
          const std::function<void(int64_t, const int64_t*)>& f) {
  const int64_t n = elements(shape);
  std::vector<int64_t> at(shape.size(), 0), index(strides.size(), 0);
  for (int64_t i = 0; i < n; ++i) {
    f(i, index.data());
    for (size_t d = shape.size(); d-- > 0;) {
      for (size_t k = 0; k < strides.size(); ++k) index[k] += strides[k][d];
      if (++at[d] < shape[d]) break;
      for (size_t k = 0; k < strides.size(); ++k) index[k] -= strides[k][d] * shape[d];
      at[d] = 0;
    }
  }
}

BroadcastRows::BroadcastRows(const Shape& a, const Shape& b, const Shape& to) : outer_(to), left_(elements(to)) {
  if (left_ == 0) return;
  strides_a_ = broadcast_strides(a, to);
  strides_b_ = broadcast_strides(b, to);
  // Dimensions join the row from the last one on, as long as one step for each side still walks all of it.
  for (length = 1; !outer_.empty(); outer_.pop_back()) {
    const int64_t dim = outer_.back(), stride_a = strides_a_[outer_.size() - 1], stride_b = strides_b_[outer_.size() - 1];
    if (dim == 1) continue;
    if (length > 1 && (stride_a != step_a * length || stride_b != step_b * length)) break;
    if (length == 1) step_a = stride_a, step_b = stride_b;
    length *= dim;
  }
  left_ /= length;
  at_.assign(outer_.size(), 0);
}

bool BroadcastRows::next() {
  if (left_ == 0) return false;
  --left_;
  if (!std::exchange(started_, true)) return true;
  out += length;
  for (size_t d = outer_.size(); d-- > 0;) {
    at_a += strides_a_[d];
    at_b += strides_b_[d];
    if (++at_[d] < outer_[d]) break;
    at_a -= strides_a_[d] * outer_[d];
    at_b -= strides_b_[d] * outer_[d];
    at_[d] = 0;
  }
  return true;
}

Tensor int_tensor(DType t, Shape shape, const std::vector<int64_t>& values) {
  Tensor out(t, std::move(shape));
  need(t == DType::i32 || t == DType::i64, "the result must be int32 or int64");
  for (size_t i = 0; i < values.size(); ++i) {
    if (t == DType::i32)
      out.data<int32_t>()[i] = static_cast<int32_t>(values[i]);
    else
      out.data<int64_t>()[i] = values[i];
  }
  return out;
}

void copy_element(Tensor& to, int64_t to_index, const Tensor& from, int64_t from_index) {
  if (to.dtype() == DType::string) {
    to.strings()[static_cast<size_t>(to_index)] = from.strings()[static_cast<size_t>(from_index)];
    return;
  }
  size_t item = size_of(to.dtype());
  std::memcpy(static_cast<char*>(to.raw()) + static_cast<size_t>(to_index) * item,
              static_cast<const char*>(from.raw()) + static_cast<size_t>(from_index) * item, item);
}

// Elements of Bytes bytes, `stride` elements apart, one after another.
template <size_t Bytes>
void copy_row(char* to, const char* from, int64_t count, int64_t stride) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * Bytes, from + i * stride * static_cast<int64_t>(Bytes), Bytes);
}

// Dimensions of more than one element, neighbours as one where their elements follow each other alike; at least one.
struct Runs {
  Shape shape;
  std::vector<int64_t> strides;
};
static Runs joined_dimensions(const Shape& shape, const std::vector<int64_t>& strides) {
  Runs runs;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    if (!runs.shape.empty() && runs.strides.back() == shape[d] * strides[d]) {
      runs.shape.back() *= shape[d];
      runs.strides.back() = strides[d];
    } else {
      runs.shape.push_back(shape[d]);
      runs.strides.push_back(strides[d]);
    }
  }
  if (runs.shape.empty()) runs = {{1}, {1}};
  return runs;
}

void strided_copy(const Tensor& x, Tensor& out, const std::vector<int64_t>& strides, int64_t offset) {
  const size_t item = out.dtype() == DType::string ? 0 : size_of(out.dtype());
  const auto copy = item == 1   ? copy_row<1>
                    : item == 2 ? copy_row<2>
                    : item == 4 ? copy_row<4>
                    : item == 8 ? copy_row<8>
                                : nullptr;
  if (out.size() == 0) return;
  if (!copy) {
    walk(out.shape(), {strides}, [&](int64_t i, const int64_t* at) { copy_element(out, i, x, offset + at[0]); });
    return;
  }
  const Runs runs = joined_dimensions(out.shape(), strides);
  const int64_t count = runs.shape.back(), stride = runs.strides.back(), bytes = static_cast<int64_t>(item);
  const Shape rows(runs.shape.begin(), runs.shape.end() - 1);
  char* to = static_cast<char*>(out.raw());
  const char* from = static_cast<const char*>(x.raw()) + offset * bytes;
  walk(rows, {{runs.strides.begin(), runs.strides.end() - 1}}, [&](int64_t row, const int64_t* at) {
    if (stride == 1)
      std::memcpy(to + row * count * bytes, from + at[0] * bytes, static_cast<size_t>(count * bytes));
    else
      copy(to + row * count * bytes, from + at[0] * bytes, count, stride);
  });
}

int64_t known_dim(const InferCall& call, size_t i, int64_t d) {
  const Shape* s = known(call, i);
  if (!s) return -1;
  const int64_t rank = static_cast<int64_t>(s->size());
  return d < -rank || d >= rank ? -1 : (*s)[static_cast<size_t>(d < 0 ? d + rank : d)];
}
int64_t known_int(const InferCall& call, size_t i) {
  const bool one = i < call.in.size() && call.in[i].constant && call.in[i].constant->size() == 1;
  return one ? call.in[i].constant->as_int() : -1;
}

void infer_same(InferCall& call) { call.out = {fact(call.in[0].dtype, call.in[0].shape)}; }

void infer_broadcast(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (known(call, 0) && known(call, 1)) call.out[0].shape = broadcast_partial(*known(call, 0), *known(call, 1));
}

void infer_compare(InferCall& call) {
  infer_broadcast(call);
  call.out[0].dtype = DType::boolean;
}

}  // namespace cytodet::graph::ops
