#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

template <class F>
void unary_values(OpCall& call, F f) {
  const Tensor& x = input(call, 0);
  Tensor y(x.dtype(), x.shape());
  on_numeric(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i) y.data<T>()[i] = static_cast<T>(f(widen(x.data<T>()[i])));
  });
  call.out = {y};
}

template <class F>
void unary_floats(OpCall& call, F f) {
  const Tensor& x = input(call, 0);
  Tensor y(x.dtype(), x.shape());
  on_floats(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i) y.data<T>()[i] = static_cast<T>(f(widen(x.data<T>()[i]), Held<T>()));
  });
  call.out = {y};
}

// out[i] = f(a[i], b[i]) with broadcasting; Out the element type of the result (void: that of the inputs).
template <class T, class Out, class F>
void binary_loop(const Tensor& a, const Tensor& b, Tensor& out, F f) {
  const T* x = a.data<T>();
  const T* y = b.data<T>();
  Out* z = out.data<Out>();
  for (BroadcastRows row(a.shape(), b.shape(), out.shape()); row.next();)
    for (int64_t j = 0; j < row.length; ++j)
      z[row.out + j] = static_cast<Out>(f(widen(x[row.at_a + j * row.step_a]), widen(y[row.at_b + j * row.step_b])));
}

void check_pair(const OpCall& call) {
  const DType a = input(call, 0).dtype(), b = input(call, 1).dtype();
  if (a != b) throw Error("", "inputs differ in type: " + name_of(a) + " and " + name_of(b));
}

template <class F>
void binary(OpCall& call, F f) {
  check_pair(call);
  const Tensor &a = call.in[0], &b = call.in[1];
  Tensor out(a.dtype(), broadcast_shapes(a.shape(), b.shape()));
  on_numeric(a.dtype(), [&]<class T>() { binary_loop<T, T>(a, b, out, f); });
  call.out = {out};
}

template <class F>
void binary_floats(OpCall& call, F f) {
  check_pair(call);
  const Tensor &a = call.in[0], &b = call.in[1];
  Tensor out(a.dtype(), broadcast_shapes(a.shape(), b.shape()));
  on_floats(a.dtype(), [&]<class T>() { binary_loop<T, T>(a, b, out, [f](auto x, auto y) { return f(x, y, Held<T>()); }); });
  call.out = {out};
}

template <class F>
void binary_integers(OpCall& call, F f) {
  check_pair(call);
  const Tensor &a = call.in[0], &b = call.in[1];
  Tensor out(a.dtype(), broadcast_shapes(a.shape(), b.shape()));
  on_integers(a.dtype(), [&]<class T>() { binary_loop<T, T>(a, b, out, f); });
  call.out = {out};
}

// out[i] = f(order) with broadcasting; order: less than, equal to or greater than 0, as a[i] is to b[i].
void compare_strings(const Tensor& a, const Tensor& b, Tensor& out, const std::function<bool(int)>& f) {
  for (BroadcastRows row(a.shape(), b.shape(), out.shape()); row.next();)
    for (int64_t j = 0; j < row.length; ++j) {
      const std::string& x = a.strings()[static_cast<size_t>(row.at_a + j * row.step_a)];
      out.data<bool>()[row.out + j] = f(x.compare(b.strings()[static_cast<size_t>(row.at_b + j * row.step_b)]));
    }
}

template <class F>
void compare(OpCall& call, F f) {
  check_pair(call);
  const Tensor &a = call.in[0], &b = call.in[1];
  Tensor out(DType::boolean, broadcast_shapes(a.shape(), b.shape()));
  if (a.dtype() == DType::string) {
    compare_strings(a, b, out, [f](int order) { return f(order, 0); });
  } else {
    on_any(a.dtype(), [&]<class T>() { binary_loop<T, bool>(a, b, out, f); });
  }
  call.out = {out};
}

template <class F>
void logical(OpCall& call, F f) {
  check_pair(call);
  const Tensor &a = call.in[0], &b = call.in[1];
  need(a.dtype() == DType::boolean, "needs bool inputs");
  Tensor out(DType::boolean, broadcast_shapes(a.shape(), b.shape()));
  binary_loop<bool, bool>(a, b, out, f);
  call.out = {out};
}

template <class T>
T divide_towards_zero(T a, T b) {
  if (b == 0) throw Error("", "integer division by zero");
  if constexpr (std::is_signed_v<T>)
    if (b == T(-1)) return static_cast<T>(0 - wrap(a));
  return static_cast<T>(a / b);
}

template <class T>
T remainder_towards_zero(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) throw Error("", "integer division by zero");
    if constexpr (std::is_signed_v<T>)
      if (b == T(-1)) return 0;
    return static_cast<T>(a % b);
  } else {
    return std::fmod(a, b);
  }
}

struct Divide {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return divide_towards_zero(a, b);
    else
      return a / b;
  }
};
struct TruncateDivide {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return divide_towards_zero(a, b);
    else
      return std::trunc(a / b);
  }
};
struct FloorDivide {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      T q = divide_towards_zero(a, b);
      if constexpr (std::is_signed_v<T>)
        if (remainder_towards_zero(a, b) != 0 && ((a < 0) != (b < 0))) --q;
      return q;
    } else {
      return std::floor(a / b);
    }
  }
};
struct FloorModulo {
  template <class T>
  T operator()(T a, T b) const {
    T r = remainder_towards_zero(a, b);
    if constexpr (std::is_signed_v<T> || std::is_floating_point_v<T>)
      if (r != 0 && ((r < 0) != (b < 0))) r = static_cast<T>(r + b);
    return r;
  }
};
struct Power {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if constexpr (std::is_signed_v<T>)
        if (b < 0) {
          if (a == 1) return 1;
          if (a == T(-1)) return b % 2 ? T(-1) : T(1);
          throw Error("", "integers to negative integer powers are not allowed");
        }
      uint64_t base = static_cast<uint64_t>(static_cast<int64_t>(a)), result = 1;
      for (auto e = static_cast<uint64_t>(static_cast<int64_t>(b)); e; e >>= 1, base *= base)
        if (e & 1) result *= base;
      return static_cast<T>(result);
    } else {
      return std::pow(a, b);
    }
  }
};

template <class T>
T sign_of(T x) {
  if constexpr (std::is_floating_point_v<T>)
    if (std::isnan(x)) return x;
  return static_cast<T>((x > 0) - (x < 0));
}
template <class T>
T round_half_even(T x) {
  if constexpr (std::is_integral_v<T>)
    return x;
  else
    return std::nearbyint(x);
}
template <class T>
T max_of(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    if (std::isnan(a)) return a;
  return a < b || b != b ? b : a;
}
template <class T>
T min_of(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    if (std::isnan(a)) return a;
  return b < a || b != b ? b : a;
}
template <class T, class H>
T sigmoid(T x, H held) {
  const T e = held(std::exp(x >= 0 ? -x : x));
  return (x >= 0 ? 1 : e) / held(1 + e);
}
template <class T, class H>
T softplus(T x, H held) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(held(std::exp(x)));
}
// 16-bit numbers lose here what expm1 would keep.
template <class T, class H>
T exp_less_one(T x, H held) {
  return std::is_same_v<H, Held<T>> ? std::expm1(x) : held(held(std::exp(x)) - 1);
}
template <class T, class H>
T selu(T x, H held) {
  return x < 0 ? held(T(1.7580993408473768)) * exp_less_one(x, held) : held(T(1.0507009873554805)) * x;
}
#define UNARY(NAME, EXPR)                                                                                         \
  {                                                                                                               \
    NAME, infer_same, [](OpCall& c) { unary_floats(c, [](auto x, [[maybe_unused]] auto held) { return EXPR; }); } \
  }
#define UNARY_NUMBER(NAME, EXPR)                                                                     \
  {                                                                                                  \
    NAME, infer_same, [](OpCall& c) { unary_values(c, [](auto x) -> decltype(x) { return EXPR; }); } \
  }
#define BINARY(NAME, EXPR)                                                                                  \
  {                                                                                                         \
    NAME, infer_broadcast, [](OpCall& c) { binary(c, [](auto a, auto b) -> decltype(a) { return EXPR; }); } \
  }
#define BINARY_FLOAT(NAME, EXPR)                                                                                            \
  {                                                                                                                         \
    NAME, infer_broadcast,                                                                                                  \
        [](OpCall& c) { binary_floats(c, [](auto a, auto b, [[maybe_unused]] auto held) -> decltype(a) { return EXPR; }); } \
  }
#define BINARY_INT(NAME, EXPR)                                                                                       \
  {                                                                                                                  \
    NAME, infer_broadcast, [](OpCall& c) { binary_integers(c, [](auto a, auto b) -> decltype(a) { return EXPR; }); } \
  }
#define COMPARE(NAME, EXPR)                                                                 \
  {                                                                                         \
    NAME, infer_compare, [](OpCall& c) { compare(c, [](auto a, auto b) { return EXPR; }); } \
  }
#define LOGICAL(NAME, EXPR)                                                                 \
  {                                                                                         \
    NAME, infer_compare, [](OpCall& c) { logical(c, [](bool a, bool b) { return EXPR; }); } \
  }

void eval_add_n(OpCall& call) {
  Tensor sum = input(call, 0).clone();
  for (size_t k = 1; k < call.in.size(); ++k) {
    const Tensor& x = call.in[k];
    need(x.shape() == sum.shape() && x.dtype() == sum.dtype(), "inputs of AddN differ in shape or type");
    on_numeric(sum.dtype(), [&]<class T>() {
      for (int64_t i = 0; i < sum.size(); ++i)
        sum.data<T>()[i] = static_cast<T>(wrap(widen(sum.data<T>()[i])) + wrap(widen(x.data<T>()[i])));
    });
  }
  call.out = {sum};
}

void eval_squared_difference(OpCall& call) {
  check_pair(call);
  const Tensor &a = call.in[0], &b = call.in[1];
  Tensor out(a.dtype(), broadcast_shapes(a.shape(), b.shape()));
  on_numeric(a.dtype(), [&]<class T>() {
    binary_loop<T, T>(a, b, out, [](auto x, auto y) {
      const auto d = wrap(held<T>(static_cast<wide_t<T>>(wrap(x) - wrap(y))));
      return static_cast<wide_t<T>>(d * d);
    });
  });
  call.out = {out};
}

void eval_add(OpCall& call) {
  if (input(call, 0).dtype() != DType::string)
    return binary(call, [](auto a, auto b) -> decltype(a) { return static_cast<decltype(a)>(wrap(a) + wrap(b)); });
  check_pair(call);
  const Tensor &a = call.in[0], &b = call.in[1];
  Tensor out(DType::string, broadcast_shapes(a.shape(), b.shape()));
  for (BroadcastRows row(a.shape(), b.shape(), out.shape()); row.next();)
    for (int64_t j = 0; j < row.length; ++j)
      out.strings()[static_cast<size_t>(row.out + j)] = a.strings()[static_cast<size_t>(row.at_a + j * row.step_a)] +
                                                        b.strings()[static_cast<size_t>(row.at_b + j * row.step_b)];
  call.out = {out};
}

void eval_clip(OpCall& call) {
  const Tensor &x = input(call, 0), &lo = input(call, 1), &hi = input(call, 2);
  need(lo.dtype() == x.dtype() && hi.dtype() == x.dtype(), "inputs differ in type");
  Tensor out(x.dtype(), broadcast_shapes(broadcast_shapes(x.shape(), lo.shape()), hi.shape()));
  on_numeric(x.dtype(), [&]<class T>() {
    walk(out.shape(),
         {broadcast_strides(x.shape(), out.shape()), broadcast_strides(lo.shape(), out.shape()),
          broadcast_strides(hi.shape(), out.shape())},
         [&](int64_t i, const int64_t* at) {
           const T v = x.data<T>()[at[0]], a = lo.data<T>()[at[1]], b = hi.data<T>()[at[2]];
           const T low = widen(v) < widen(a) ? a : v;
           out.data<T>()[i] = widen(b) < widen(low) ? b : low;
         });
  });
  call.out = {out};
}

void eval_population_count(OpCall& call) {
  const Tensor& x = input(call, 0);
  Tensor out(DType::u8, x.shape());
  on_integers(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i)
      out.data<uint8_t>()[i] = static_cast<uint8_t>(std::popcount(static_cast<std::make_unsigned_t<T>>(x.data<T>()[i])));
  });
  call.out = {out};
}

void eval_logical_not(OpCall& call) {
  const Tensor& x = input(call, 0);
  need(x.dtype() == DType::boolean, "needs a bool input");
  Tensor y(DType::boolean, x.shape());
  for (int64_t i = 0; i < x.size(); ++i) y.data<bool>()[i] = !x.data<bool>()[i];
  call.out = {y};
}

void eval_leaky_relu(OpCall& call) {
  float alpha = call.node.attr_or("alpha", 0.2f);
  unary_floats(call, [alpha](auto x, auto held) { return x > 0 ? x : x * held(static_cast<decltype(x)>(alpha)); });
}

template <class F>
void predicate(OpCall& call, F f) {
  const Tensor& x = input(call, 0);
  Tensor y(DType::boolean, x.shape());
  on_floats(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i) y.data<bool>()[i] = f(widen(x.data<T>()[i]));
  });
  call.out = {y};
}

void infer_predicate(InferCall& call) { call.out = {fact(DType::boolean, call.in[0].shape)}; }

void eval_approximate_equal(OpCall& call) {
  float tolerance = call.node.attr_or("tolerance", 1e-5f);
  compare(call, [tolerance](auto a, auto b) { return std::abs(static_cast<double>(a) - static_cast<double>(b)) < tolerance; });
}

}  // namespace

const std::vector<Op>& elementwise_ops() {
  static const std::vector<Op> rows = {
      {"Add", infer_broadcast, eval_add},
      {"AddV2", infer_broadcast, eval_add},
      {"AccumulateNV2", infer_same, eval_add_n},
      {"AddN", infer_same, eval_add_n},
      {"ApproximateEqual", infer_compare, eval_approximate_equal},
      {"ClipByValue", infer_same, eval_clip},
      {"PopulationCount", [](InferCall& c) { c.out = {fact(DType::u8, c.in[0].shape)}; }, eval_population_count},
      {"LeakyRelu", infer_same, eval_leaky_relu},
      {"LogicalNot", infer_same, eval_logical_not},
      {"IsNan", infer_predicate, [](OpCall& c) { predicate(c, [](auto x) { return std::isnan(x); }); }},
      {"IsInf", infer_predicate, [](OpCall& c) { predicate(c, [](auto x) { return std::isinf(x); }); }},
      {"IsFinite", infer_predicate, [](OpCall& c) { predicate(c, [](auto x) { return std::isfinite(x); }); }},
      BINARY("Sub", static_cast<decltype(a)>(wrap(a) - wrap(b))),
      BINARY("Mul", static_cast<decltype(a)>(wrap(a) * wrap(b))),
      BINARY("Div", Divide()(a, b)),
      BINARY("RealDiv", Divide()(a, b)),
      BINARY("TruncateDiv", TruncateDivide()(a, b)),
      BINARY("FloorDiv", FloorDivide()(a, b)),
      BINARY("FloorMod", FloorModulo()(a, b)),
      BINARY("Mod", remainder_towards_zero(a, b)),
      BINARY("TruncateMod", remainder_towards_zero(a, b)),
      BINARY("Maximum", max_of(a, b)),
      BINARY("Minimum", min_of(a, b)),
      BINARY("Pow", Power()(a, b)),
      {"SquaredDifference", infer_broadcast, eval_squared_difference},
      BINARY_FLOAT("DivNoNan", b == 0 ? 0 : a / b),
      BINARY_FLOAT("MulNoNan", b == 0 ? 0 : a * b),
      BINARY_FLOAT("Xdivy", a == 0 ? 0 : a / b),
      BINARY_FLOAT("Xlogy", a == 0 ? 0 : a * held(std::log(b))),
      BINARY_FLOAT("Xlog1py", a == 0 ? 0 : a * held(std::log1p(b))),
      BINARY_FLOAT("Atan2", std::atan2(a, b)),
      BINARY_FLOAT("NextAfter", std::nextafter(a, b)),
      BINARY_INT("BitwiseAnd", static_cast<decltype(a)>(a & b)),
      BINARY_INT("BitwiseOr", static_cast<decltype(a)>(a | b)),
      BINARY_INT("BitwiseXor", static_cast<decltype(a)>(a ^ b)),
      BINARY_INT("LeftShift", static_cast<decltype(a)>(static_cast<uint64_t>(a) << std::min<uint64_t>(static_cast<uint64_t>(b), sizeof(a) * 8 - 1))),
      BINARY_INT("RightShift", static_cast<decltype(a)>(a >> std::min<uint64_t>(static_cast<uint64_t>(b), sizeof(a) * 8 - 1))),
      COMPARE("Equal", a == b),
      COMPARE("NotEqual", a != b),
      COMPARE("Less", a < b),
      COMPARE("LessEqual", a <= b),
      COMPARE("Greater", a > b),
      COMPARE("GreaterEqual", a >= b),
      LOGICAL("LogicalAnd", a && b),
      LOGICAL("LogicalOr", a || b),
      UNARY_NUMBER("Abs", static_cast<decltype(x)>(x < 0 ? static_cast<decltype(x)>(0 - wrap(x)) : (x == 0 ? 0 : x))),
      UNARY_NUMBER("Neg", static_cast<decltype(x)>(std::is_floating_point_v<decltype(x)> ? -x : static_cast<decltype(x)>(0 - wrap(x)))),
      UNARY_NUMBER("Sign", sign_of(x)),
      UNARY_NUMBER("Square", static_cast<decltype(x)>(wrap(x) * wrap(x))),
      UNARY_NUMBER("Round", round_half_even(x)),
      UNARY_NUMBER("Relu", x > 0 || x != x ? x : 0),
      UNARY_NUMBER("Relu6", x > 6 ? 6 : (x > 0 || x != x ? x : 0)),
      {"Invert", infer_same, [](OpCall& c) {
         const Tensor& x = input(c, 0);
         Tensor y(x.dtype(), x.shape());
         on_integers(x.dtype(), [&]<class T>() {
           for (int64_t i = 0; i < x.size(); ++i) y.data<T>()[i] = static_cast<T>(~x.data<T>()[i]);
         });
         c.out = {y};
       }},
      UNARY("Rint", std::nearbyint(x)),
      UNARY("Floor", std::floor(x)),
      UNARY("Ceil", std::ceil(x)),
      UNARY("Sqrt", std::sqrt(x)),
      UNARY("Rsqrt", 1 / held(std::sqrt(x))),
      UNARY("Exp", std::exp(x)),
      UNARY("Expm1", std::expm1(x)),
      UNARY("Log", std::log(x)),
      UNARY("Log1p", std::log1p(x)),
      UNARY("Sin", std::sin(x)),
      UNARY("Cos", std::cos(x)),
      UNARY("Tan", std::tan(x)),
      UNARY("Asin", std::asin(x)),
      UNARY("Acos", std::acos(x)),
      UNARY("Atan", std::atan(x)),
      UNARY("Sinh", std::sinh(x)),
      UNARY("Cosh", std::cosh(x)),
      UNARY("Tanh", std::tanh(x)),
      UNARY("Asinh", std::asinh(x)),
      UNARY("Acosh", std::acosh(x)),
      UNARY("Atanh", std::atanh(x)),
      UNARY("Erf", std::erf(x)),
      UNARY("Erfc", std::erfc(x)),
      UNARY("Lgamma", std::lgamma(x)),
      UNARY("Reciprocal", 1 / x),
      UNARY("Inv", 1 / x),
      UNARY("Sigmoid", sigmoid(x, held)),
      UNARY("Softplus", softplus(x, held)),
      UNARY("Softsign", x / held(1 + std::abs(x))),
      UNARY("Elu", x < 0 ? exp_less_one(x, held) : x),
      UNARY("Selu", selu(x, held)),
  };
  return rows;
}

}  // namespace cytodet::graph::ops
