// Ops about shape: what is where, not what is computed.
#include <cstring>

#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

void eval_pass_all(OpCall& call) { call.out.assign(call.in.begin(), call.in.end()); }
void infer_pass_all(InferCall& call) {
  for (const Fact& f : call.in) call.out.push_back(fact(f.dtype, f.shape));
}

void eval_check_numerics(OpCall& call) {
  const Tensor& x = input(call, 0);
  bool nan = false, inf = false;
  on_floats(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i) {
      nan = nan || std::isnan(widen(x.data<T>()[i]));
      inf = inf || std::isinf(widen(x.data<T>()[i]));
    }
  });
  if (nan || inf)
    throw Error("", "tensor has " + std::string(nan ? "NaN" : "Inf") + ": " + call.node.attr_or<std::string>("message", ""));
  call.out = {x};
}

void eval_const(OpCall& call) {
  const Tensor* value = call.node.find_attr<Tensor>("value");
  need(value, "the constant is missing or of a type that cannot be held");
  call.out = {*value};
}
void infer_const(InferCall& call) {
  const Tensor* value = call.node.find_attr<Tensor>("value");
  call.out = {value ? Fact{value->dtype(), value->shape(), {}} : Fact{}};
}

void infer_placeholder(InferCall& call) {
  call.out = {fact(call.node.attr_or("dtype", DType::invalid))};
  if (const auto* s = call.node.find_attr<ShapeAttr>("shape"); s && s->known_rank) call.out[0].shape = s->dims;
}
void eval_placeholder(OpCall&) { throw Error("", "is not fed", "feed it a value"); }

// The shape asked for with its -1 filled in, as TensorFlow does: dimensions of 0 count on neither side where 0 is asked for, so
// that [0, 3, 4] becomes [0, 6, 2] under [0, -1, 2].
Shape resolve_reshape(const Shape& wanted, const Shape& from) {
  int64_t product = 1;
  int hole = -1;
  bool zero = false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == -1) {
      need(hole < 0, "only one dimension of a reshape may be -1");
      hole = static_cast<int>(i);
      continue;
    }
    need(wanted[i] >= 0, "reshape to a negative dimension");
    zero = zero || wanted[i] == 0;
    if (wanted[i] > 0) product = elements({product, wanted[i]});
  }
  Shape shape = wanted;
  if (hole >= 0) {
    int64_t size = 1;
    bool left_out = false;
    for (int64_t d : from) {
      left_out = left_out || (d == 0 && zero);
      if (d > 0 || !zero) size = size == 0 || d == 0 ? 0 : elements({size, d});
    }
    need(left_out || size % product == 0, "cannot reshape " + to_string(from) + " to " + to_string(wanted));
    shape[static_cast<size_t>(hole)] = size / product;
  }
  return shape;
}

void eval_reshape(OpCall& call) {
  const Tensor &x = input(call, 0), &s = input(call, 1);
  need(s.rank() <= 1, "a shape must have one dimension");
  call.out = {x.reshaped(resolve_reshape(s.as_ints(), x.shape()))};
}
constexpr int64_t kMaxRank = 64;  // of a shape whose length alone is known

void infer_reshape(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (call.in.size() < 2) return;
  if (call.in[1].constant) {
    Shape wanted = call.in[1].constant->as_ints();
    if (known(call, 0) && is_static(*known(call, 0))) wanted = resolve_reshape(wanted, *known(call, 0));
    call.out[0].shape = wanted;
  } else if (const Shape* s = known(call, 1); s && s->size() == 1 && (*s)[0] >= 0 && (*s)[0] < kMaxRank) {
    call.out[0].shape = Shape(static_cast<size_t>((*s)[0]), -1);
  }
}

Shape squeezed(const Shape& shape, std::vector<int64_t> axes) {
  for (int64_t& a : axes) a = axis_of(a, static_cast<int64_t>(shape.size()));
  Shape out;
  for (size_t i = 0; i < shape.size(); ++i) {
    bool named = std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) != axes.end();
    need(!named || shape[i] == 1 || shape[i] < 0, "cannot squeeze dimension " + std::to_string(i) + " of " + to_string(shape));
    if (!(named || (axes.empty() && shape[i] == 1))) out.push_back(shape[i]);
  }
  return out;
}
std::vector<int64_t> squeeze_axes(const Node& node) {
  std::vector<int64_t> axes = node.attr_or("squeeze_dims", AttrList{}).ints;
  return axes.empty() ? node.attr_or("axis", AttrList{}).ints : axes;
}
void eval_squeeze(OpCall& call) {
  call.out = {input(call, 0).reshaped(squeezed(input(call, 0).shape(), squeeze_axes(call.node)))};
}
void infer_squeeze(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  const Shape* s = known(call, 0);
  if (s && (is_static(*s) || !squeeze_axes(call.node).empty())) call.out[0].shape = squeezed(*s, squeeze_axes(call.node));
}

Shape expanded(Shape shape, int64_t axis) {
  int64_t at = axis_of(axis, static_cast<int64_t>(shape.size()) + 1);
  shape.insert(shape.begin() + at, 1);
  return shape;
}
void eval_expand_dims(OpCall& call) {
  need(input(call, 1).size() == 1, "the axis must be one number");
  call.out = {input(call, 0).reshaped(expanded(input(call, 0).shape(), input(call, 1).as_int()))};
}
void infer_expand_dims(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (known(call, 0) && call.in.size() > 1 && call.in[1].constant && call.in[1].constant->size() == 1)
    call.out[0].shape = expanded(*known(call, 0), call.in[1].constant->as_int());
}

DType out_type(const Node& n) { return n.attr_or("out_type", DType::i32); }
void eval_shape(OpCall& call) {
  const Shape& s = input(call, 0).shape();
  call.out = {int_tensor(out_type(call.node), {static_cast<int64_t>(s.size())}, s)};
}
void infer_shape(InferCall& call) {
  call.out = {fact(out_type(call.node))};
  const Shape* s = known(call, 0);
  call.out[0].shape = Shape{s ? static_cast<int64_t>(s->size()) : -1};
  if (!s) return;
  if (is_static(*s)) call.out[0].constant = int_tensor(out_type(call.node), *call.out[0].shape, *s);
}
void eval_shape_n(OpCall& call) {
  for (const Tensor& t : call.in) call.out.push_back(int_tensor(out_type(call.node), {t.rank()}, t.shape()));
}
void eval_size(OpCall& call) { call.out = {int_tensor(out_type(call.node), {}, {input(call, 0).size()})}; }
void eval_rank(OpCall& call) { call.out = {int_tensor(DType::i32, {}, {input(call, 0).rank()})}; }
void infer_size(InferCall& call) {
  call.out = {fact(out_type(call.node), Shape{})};
  if (known(call, 0) && is_static(*known(call, 0)))
    call.out[0].constant = int_tensor(out_type(call.node), {}, {elements(*known(call, 0))});
}
void infer_rank(InferCall& call) {
  call.out = {fact(DType::i32, Shape{})};
  if (known(call, 0)) call.out[0].constant = int_tensor(DType::i32, {}, {static_cast<int64_t>(known(call, 0)->size())});
}

Tensor filled(const Shape& shape, const Tensor& value) {
  Tensor out(value.dtype(), shape);
  if (out.size() == 0) return out;
  copy_element(out, 0, value, 0);
  if (value.dtype() == DType::string) {
    for (int64_t i = 1; i < out.size(); ++i) copy_element(out, i, value, 0);
    return out;
  }
  char* bytes = static_cast<char*>(out.raw());
  for (size_t done = value.bytes(); done < out.bytes(); done *= 2)
    std::memcpy(bytes + done, bytes, std::min(done, out.bytes() - done));
  return out;
}
void eval_fill(OpCall& call) {
  need(input(call, 1).size() == 1, "the fill value must be a scalar");
  call.out = {filled(shape_of(input(call, 0)), input(call, 1))};
}
void infer_fill(InferCall& call) {
  call.out = {fact(call.in.size() > 1 ? call.in[1].dtype : DType::invalid)};
  const Shape* dims = known(call, 0);
  if (call.in[0].constant)
    call.out[0].shape = call.in[0].constant->as_ints();
  else if (dims && dims->size() == 1 && (*dims)[0] >= 0 && (*dims)[0] < kMaxRank)
    call.out[0].shape = Shape(static_cast<size_t>((*dims)[0]), -1);
}
void eval_zeros_like(OpCall& call) { call.out = {Tensor(input(call, 0).dtype(), input(call, 0).shape())}; }
void eval_ones_like(OpCall& call) {
  Tensor one(input(call, 0).dtype(), {});
  on_any(one.dtype(), [&]<class T>() { one.data<T>()[0] = static_cast<T>(1.0f); });
  call.out = {filled(input(call, 0).shape(), one)};
}

void eval_range(OpCall& call) {
  const Tensor &start = input(call, 0), &limit = input(call, 1), &delta = input(call, 2);
  need(start.size() == 1 && limit.size() == 1 && delta.size() == 1, "start, limit and delta must be scalars");
  need(delta.as_double() != 0, "delta must not be 0");
  double count = std::ceil((limit.as_double() - start.as_double()) / delta.as_double());
  need(count < 1e10, "the range is too long");
  Tensor out(start.dtype(), {std::max<int64_t>(0, static_cast<int64_t>(count))});
  on_numeric(start.dtype(), [&]<class T>() {
    wide_t<T> v = widen(start.data<T>()[0]), d = widen(delta.data<T>()[0]);
    for (int64_t i = 0; i < out.size(); ++i) {
      out.data<T>()[i] = static_cast<T>(v);
      v = static_cast<wide_t<T>>(v + d);
    }
  });
  call.out = {out};
}
void infer_range(InferCall& call) { call.out = {fact(call.in[0].dtype, Shape{-1})}; }

void eval_broadcast_to(OpCall& call) {
  const Tensor& x = input(call, 0);
  Tensor out(x.dtype(), shape_of(input(call, 1)));
  walk(out.shape(), {broadcast_strides(x.shape(), out.shape())},
       [&](int64_t i, const int64_t* at) { copy_element(out, i, x, at[0]); });
  call.out = {out};
}
void eval_broadcast_args(OpCall& call) {
  Shape s = broadcast_shapes(shape_of(input(call, 0)), shape_of(input(call, 1)));
  call.out = {int_tensor(call.in[0].dtype(), {static_cast<int64_t>(s.size())}, s)};
}

template <class From, class To>
To convert(From v) {
  auto w = widen(v);
  if constexpr (std::is_same_v<To, bool>)
    return w != 0;
  else if constexpr (std::is_floating_point_v<decltype(w)> && std::is_integral_v<To>) {
    if (!(w >= static_cast<decltype(w)>(std::numeric_limits<To>::min()))) return std::numeric_limits<To>::min();
    if (w >= static_cast<decltype(w)>(std::numeric_limits<To>::max()))
      return std::isnan(w) ? To{} : std::numeric_limits<To>::max();
    return static_cast<To>(w);
  } else
    return static_cast<To>(static_cast<wide_t<To>>(w));
}
void eval_cast(OpCall& call) {
  const Tensor& x = input(call, 0);
  DType to = call.node.attr<DType>("DstT");
  if (to == x.dtype()) return eval_pass(call);
  Tensor out(to, x.shape());
  on_any(x.dtype(), [&]<class From>() {
    on_any(to, [&]<class To>() {
      for (int64_t i = 0; i < x.size(); ++i) out.data<To>()[i] = convert<From, To>(x.data<From>()[i]);
    });
  });
  call.out = {out};
}
void infer_cast(InferCall& call) { call.out = {fact(call.node.attr_or("DstT", DType::invalid), call.in[0].shape)}; }

void infer_bitcast(InferCall& call) {
  const DType from = input_type(call, 0), to = call.node.attr<DType>("type");
  call.out = {fact(to)};
  if (!known(call, 0) || !size_of(from) || !size_of(to)) return;
  Shape s = *known(call, 0);
  if (size_of(from) > size_of(to)) s.push_back(static_cast<int64_t>(size_of(from) / size_of(to)));
  if (size_of(from) < size_of(to) && !s.empty()) s.pop_back();
  call.out[0].shape = s;
}
void eval_bitcast(OpCall& call) {
  const Tensor& x = input(call, 0);
  DType to = call.node.attr<DType>("type");
  size_t from_size = size_of(x.dtype()), to_size = size_of(to);
  need(from_size && to_size, "cannot bitcast these types");
  Shape s = x.shape();
  if (from_size > to_size) s.push_back(static_cast<int64_t>(from_size / to_size));
  if (from_size < to_size) {
    need(!s.empty() && s.back() == static_cast<int64_t>(to_size / from_size), "the last dimension does not fit the bitcast");
    s.pop_back();
  }
  Tensor out(to, s);
  std::memcpy(out.raw(), x.raw(), x.bytes());
  call.out = {out};
}

// A format as a permutation of another: positions (DimMap) or entries (VecPermute) follow.
void eval_data_format(OpCall& call) {
  const std::string from = call.node.attr_or<std::string>("src_format", "NHWC"),
                    to = call.node.attr_or<std::string>("dst_format", "NCHW");
  need(from.size() == to.size() && std::is_permutation(from.begin(), from.end(), to.begin()),
       "the formats " + from + " and " + to + " differ in letters");
  const Tensor& x = input(call, 0);
  const int64_t n = static_cast<int64_t>(from.size());
  Tensor out(x.dtype(), x.shape());
  if (call.node.op == "DataFormatDimMap") {
    std::vector<int64_t> at;
    for (int64_t i : x.as_ints()) at.push_back(static_cast<int64_t>(to.find(from[static_cast<size_t>(axis_of(i, n))])));
    call.out = {int_tensor(x.dtype(), x.shape(), at)};
    return;
  }
  need((x.rank() == 1 || (x.rank() == 2 && x.dim(1) == 2)) && x.dim(0) == n, "needs one entry per letter of the format");
  const int64_t inner = x.rank() == 2 ? 2 : 1;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < inner; ++k)
      copy_element(out, i * inner + k, x, static_cast<int64_t>(from.find(to[static_cast<size_t>(i)])) * inner + k);
  call.out = {out};
}

void eval_empty(OpCall& call) { call.out = {Tensor(call.node.attr<DType>("dtype"), shape_of(input(call, 0)))}; }
void infer_empty(InferCall& call) {
  call.out = {fact(call.node.attr_or("dtype", DType::invalid))};
  if (call.in[0].constant) call.out[0].shape = call.in[0].constant->as_ints();
}
void infer_broadcast_to(InferCall& call) {
  call.out = {fact(call.in[0].dtype)};
  if (call.in.size() > 1 && call.in[1].constant)
    call.out[0].shape = call.in[1].constant->as_ints();
  else if (const Shape* s = known(call, 1); s && s->size() == 1 && (*s)[0] >= 0 && (*s)[0] < 64)
    call.out[0].shape = Shape(static_cast<size_t>((*s)[0]), -1);
}
void infer_broadcast_args(InferCall& call) {
  call.out = {fact(call.in[0].dtype, Shape{-1})};
  if (known(call, 0) && known(call, 1) && known(call, 0)->size() == 1 && known(call, 1)->size() == 1 &&
      (*known(call, 0))[0] >= 0 && (*known(call, 1))[0] >= 0)
    call.out[0].shape = Shape{std::max((*known(call, 0))[0], (*known(call, 1))[0])};
}
void infer_shape_n(InferCall& call) {
  for (size_t i = 0; i < call.in.size(); ++i) {
    const std::array<Fact, 1> one{call.in[i]};
    InferCall single{call.node, one, {}};
    infer_shape(single);
    call.out.push_back(single.out[0]);
  }
}
void infer_lin_space(InferCall& call) {
  call.out = {fact(call.in[0].dtype, Shape{-1})};
  if (call.in.size() > 2 && call.in[2].constant) call.out[0].shape = Shape{call.in[2].constant->as_int()};
}

void eval_nothing(OpCall&) {}
void eval_assert(OpCall& call) {
  const Tensor& ok = input(call, 0);
  need(ok.dtype() == DType::boolean && ok.size() == 1, "the condition must be one bool");
  need(ok.data<bool>()[0], "assertion failed");
}

void eval_lin_space(OpCall& call) {
  const Tensor &a = input(call, 0), &b = input(call, 1);
  int64_t n = input(call, 2).as_int();
  need(n > 0 && n < int64_t{1} << 30, "num must be positive");
  Tensor out(a.dtype(), {n});
  on_floats(a.dtype(), [&]<class T>() {
    auto x = widen(a.data<T>()[0]), y = widen(b.data<T>()[0]);
    for (int64_t i = 0; i < n; ++i)
      out.data<T>()[i] =
          static_cast<T>(n == 1       ? x
                         : i == n - 1 ? y
                                      : x + (y - x) / static_cast<decltype(x)>(n - 1) * static_cast<decltype(x)>(i));
  });
  call.out = {out};
}

}  // namespace

const std::vector<Op>& shape_ops() {
  static const std::vector<Op> rows = {
      {"Assert", infer_nothing, eval_assert},
      {"Bitcast", infer_bitcast, eval_bitcast},
      {"BroadcastArgs", infer_broadcast_args, eval_broadcast_args},
      {"BroadcastTo", infer_broadcast_to, eval_broadcast_to},
      {"Cast", infer_cast, eval_cast},
      {"CheckNumerics", infer_same, eval_check_numerics},
      {"CheckNumericsV2", infer_same, eval_check_numerics},
      {"Const", infer_const, eval_const},
      {"ControlTrigger", infer_nothing, eval_nothing},
      {"DataFormatDimMap", infer_same, eval_data_format},
      {"DataFormatVecPermute", infer_same, eval_data_format},
      {"DeepCopy", infer_same, eval_pass},
      {"Empty", infer_empty, eval_empty},
      {"EnsureShape", infer_same, eval_pass},
      {"ExpandDims", infer_expand_dims, eval_expand_dims},
      {"Fill", infer_fill, eval_fill},
      {"GuaranteeConst", infer_same, eval_pass},
      {"Identity", infer_same, eval_pass},
      {"IdentityN", infer_pass_all, eval_pass_all},
      {"LinSpace", infer_lin_space, eval_lin_space},
      {"NoOp", infer_nothing, eval_nothing},
      {"OnesLike", infer_same, eval_ones_like},
      {"Placeholder", infer_placeholder, eval_placeholder},
      {"PlaceholderWithDefault", infer_same, eval_pass, true},
      {"PreventGradient", infer_same, eval_pass},
      {"Range", infer_range, eval_range},
      {"Rank", infer_rank, eval_rank},
      {"Reshape", infer_reshape, eval_reshape},
      {"Shape", infer_shape, eval_shape},
      {"ShapeN", infer_shape_n, eval_shape_n},
      {"Size", infer_size, eval_size},
      {"Snapshot", infer_same, eval_pass},
      {"Squeeze", infer_squeeze, eval_squeeze},
      {"StopGradient", infer_same, eval_pass},
      {"ZerosLike", infer_same, eval_zeros_like},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
