// Special functions: incomplete gamma and beta, zeta, polygamma, inverse error function, Bessel. Formulas: Abramowitz and Stegun
// (6.5 incomplete gamma, 26.5 incomplete beta by continued fraction, 23.2 zeta by Euler-Maclaurin), Acklam's inverse normal with
// two Halley steps.
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

// Lower regularized incomplete gamma by its series, x < a + 1.
double gamma_series(double a, double x) {
  double term = 1 / a, sum = term;
  for (int i = 1; i < 2000; ++i) {
    term *= x / (a + i);
    sum += term;
    if (std::abs(term) < std::abs(sum) * 1e-17) break;
  }
  return sum * std::exp(-x + a * std::log(x) - std::lgamma(a));
}
// Upper one by Lentz's continued fraction, x >= a + 1.
double gamma_fraction(double a, double x) {
  double b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
  for (int i = 1; i < 2000; ++i) {
    const double an = -i * (i - a);
    b += 2;
    d = an * d + b;
    d = 1 / (std::abs(d) < 1e-300 ? 1e-300 : d);
    c = b + an / c;
    if (std::abs(c) < 1e-300) c = 1e-300;
    h *= d * c;
    if (std::abs(d * c - 1) < 1e-16) break;
  }
  return h * std::exp(-x + a * std::log(x) - std::lgamma(a));
}
double igamma(double a, double x) {
  if (a == 0 && x == 0) return 0;  // as TensorFlow
  if (!(a > 0) || !(x >= 0)) return nan;
  if (x == 0) return 0;
  if (std::isinf(a)) return std::isinf(x) ? nan : 0;
  if (std::isinf(x)) return 1;
  return x < a + 1 ? gamma_series(a, x) : 1 - gamma_fraction(a, x);
}
double igammac(double a, double x) {
  if (!(a > 0) || !(x >= 0)) return nan;
  if (x == 0) return 1;
  if (std::isinf(a)) return std::isinf(x) ? nan : 1;
  if (std::isinf(x)) return 0;
  return x < a + 1 ? 1 - gamma_series(a, x) : gamma_fraction(a, x);
}

double beta_fraction(double a, double b, double x) {
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / (std::abs(d) < 1e-300 ? 1e-300 : d);
  double h = d;
  for (int m = 1; m < 2000; ++m) {
    auto step = [&](double k) {
      d = 1 + k * d;
      d = 1 / (std::abs(d) < 1e-300 ? 1e-300 : d);
      c = 1 + k / c;
      if (std::abs(c) < 1e-300) c = 1e-300;
      h *= d * c;
      return std::abs(d * c - 1);
    };
    step(m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)));
    if (step(-(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))) < 1e-16) break;
  }
  return h;
}
double betainc(double a, double b, double x) {
  if (!(a > 0) || !(b > 0) || !(x >= 0 && x <= 1) || std::isinf(a) || std::isinf(b)) return nan;
  if (x == 0 || x == 1) return x;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x));
  return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

// Hurwitz zeta.
double zeta(double x, double q) {
  if (std::isnan(x) || std::isnan(q) || x < 1) return nan;
  if (x == 1) return inf;
  if (q <= 0) {
    if (q == std::floor(q)) return x == std::floor(x) && std::fmod(x, 2) == 0 ? inf : nan;
    if (x != std::floor(x) || q < -1e6) return nan;
  }
  if (std::isinf(q) || std::isinf(x)) return 0;
  double sum = 0, a = q;
  int steps = 0;
  for (; steps < 10 || a <= 9; ++steps, a += 1) sum += std::pow(a, -x);
  sum += std::pow(a, 1 - x) / (x - 1) + std::pow(a, -x) / 2;
  static constexpr double bernoulli[] = {1.0 / 6,  -1.0 / 30,     1.0 / 42, -1.0 / 30,
                                         5.0 / 66, -691.0 / 2730, 7.0 / 6,  -3617.0 / 510};
  double factor = x * std::pow(a, -x - 1) / 2;
  for (int k = 0; k < 8; ++k) {
    sum += bernoulli[k] * factor;
    factor *= (x + 2 * k + 1) * (x + 2 * k + 2) / (a * a * (2 * k + 3) * (2 * k + 4));
  }
  return sum;
}
double polygamma(double n, double x) {
  if (!(n >= 0) || n != std::floor(n) || std::isnan(x)) return nan;
  if (n == 0) return digamma(x);
  return (std::fmod(n, 2) == 1 ? 1 : -1) * std::exp(std::lgamma(n + 1)) * zeta(n + 1, x);
}

double ndtri(double p) {
  if (!(p >= 0 && p <= 1)) return nan;
  if (p == 0 || p == 1) return p == 0 ? -inf : inf;
  const double tail = std::min(p, 1 - p);
  double x;
  if (tail < 0.02425) {
    const double q = std::sqrt(-2 * std::log(tail));
    x = (((((-7.784894002430293e-3 * q - 3.223964580411365e-1) * q - 2.400758277161838) * q - 2.549732539343734) * q +
          4.374664141464968) *
             q +
         2.938163982698783) /
        ((((7.784695709041462e-3 * q + 3.224671290700398e-1) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1);
  } else {
    const double q = tail - 0.5, r = q * q;
    x = (((((-3.969683028665376e1 * r + 2.209460984245205e2) * r - 2.759285104469687e2) * r + 1.383577518672690e2) * r -
          3.066479806614716e1) *
             r +
         2.506628277459239) *
        q /
        (((((-5.447609879822406e1 * r + 1.615858368580409e2) * r - 1.556989798598866e2) * r + 6.680131188771972e1) * r -
          1.328068155288572e1) *
             r +
         1);
  }
  for (int i = 0; i < 2; ++i) {
    const double e = 0.5 * std::erfc(-x / M_SQRT2) - tail, u = e * std::sqrt(2 * M_PI) * std::exp(x * x / 2);
    x -= u / (1 + x * u / 2);
  }
  return p <= 0.5 ? x : -x;
}
double erfinv(double y) { return y >= -1 && y <= 1 ? ndtri((y + 1) / 2) / M_SQRT2 : nan; }

// The C++ library's Bessel functions take x >= 0 and throw on NaN-like arguments; order 0 is even, order 1 odd.
double even_or_odd(double (*f)(double, double), int order, double x) {
  if (std::isnan(x) || std::isinf(x)) return x;
  const double v = f(order, std::abs(x));
  return order == 1 && x < 0 ? -v : v;
}
double bessel_i(int order, double x) {
  return std::abs(x) > 700 ? (order == 1 && x < 0 ? -inf : inf) : even_or_odd(std::cyl_bessel_i, order, x);
}
double bessel_ie(int order, double x) {
  const double a = std::abs(x);
  if (!(a > 100)) return bessel_i(order, x) * std::exp(-a);
  const double m = 4.0 * order, t = 8 * a,
               v = (1 - (m - 1) / t * (1 - (m - 9) / (2 * t) * (1 - (m - 25) / (3 * t)))) / std::sqrt(2 * M_PI * a);
  return order == 1 && x < 0 ? -v : v;
}
double bessel_j(int order, double x) { return std::isinf(x) ? 0 : even_or_odd(std::cyl_bessel_j, order, x); }
double bessel_k(int order, double x) { return std::isnan(x) ? nan : x <= 0 ? inf : x > 700 ? 0 : std::cyl_bessel_k(order, x); }
double bessel_ke(int order, double x) {
  return std::isnan(x) ? nan : x <= 0 ? inf : x > 700 ? std::sqrt(M_PI / (2 * x)) : std::cyl_bessel_k(order, x) * std::exp(x);
}
double bessel_y(int order, double x) {
  return std::isnan(x) ? nan : x <= 0 ? -inf : std::isinf(x) ? 0 : std::cyl_neumann(order, x);
}
double expint(double x) { return std::isnan(x) || x < 0 ? nan : x == 0 ? -inf : std::isinf(x) ? x : std::expint(x); }

template <class F>
void one(OpCall& call, F f) {
  const Tensor& x = input(call, 0);
  Tensor y(x.dtype(), x.shape());
  on_floats(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < x.size(); ++i)
      y.data<T>()[i] = static_cast<T>(static_cast<wide_t<T>>(f(static_cast<double>(widen(x.data<T>()[i])))));
  });
  call.out = {y};
}
template <class F>
void two(OpCall& call, F f) {
  const Tensor &a = input(call, 0), &b = input(call, 1);
  need(a.dtype() == b.dtype(), "inputs differ in type");
  Tensor out(a.dtype(), broadcast_shapes(a.shape(), b.shape()));
  on_floats(a.dtype(), [&]<class T>() {
    walk(out.shape(), {broadcast_strides(a.shape(), out.shape()), broadcast_strides(b.shape(), out.shape())},
         [&](int64_t i, const int64_t* at) {
           out.data<T>()[i] = static_cast<T>(static_cast<wide_t<T>>(
               f(static_cast<double>(widen(a.data<T>()[at[0]])), static_cast<double>(widen(b.data<T>()[at[1]])))));
         });
  });
  call.out = {out};
}
void eval_betainc(OpCall& call) {
  const Tensor &a = input(call, 0), &b = input(call, 1), &x = input(call, 2);
  need(a.dtype() == b.dtype() && b.dtype() == x.dtype(), "inputs differ in type");
  Tensor out(a.dtype(), broadcast_shapes(broadcast_shapes(a.shape(), b.shape()), x.shape()));
  on_floats(a.dtype(), [&]<class T>() {
    walk(out.shape(),
         {broadcast_strides(a.shape(), out.shape()), broadcast_strides(b.shape(), out.shape()),
          broadcast_strides(x.shape(), out.shape())},
         [&](int64_t i, const int64_t* at) {
           out.data<T>()[i] = static_cast<T>(
               static_cast<wide_t<T>>(betainc(widen(a.data<T>()[at[0]]), widen(b.data<T>()[at[1]]), widen(x.data<T>()[at[2]]))));
         });
  });
  call.out = {out};
}
void infer_betainc(InferCall& call) {
  infer_broadcast(call);
  if (call.out[0].shape && known(call, 2))
    call.out[0].shape = broadcast_partial(*call.out[0].shape, *known(call, 2));
  else
    call.out[0].shape.reset();
}

#define ONE(NAME, EXPR)                                                        \
  {                                                                            \
    NAME, infer_same, [](OpCall& c) { one(c, [](double x) { return EXPR; }); } \
  }
#define TWO(NAME, EXPR)                                                                       \
  {                                                                                           \
    NAME, infer_broadcast, [](OpCall& c) { two(c, [](double a, double b) { return EXPR; }); } \
  }

}  // namespace

double digamma(double x) {
  if (x == 0) return std::signbit(x) ? inf : -inf;
  if (std::isnan(x) || (x < 0 && std::floor(x) == x)) return nan;
  if (std::isinf(x)) return x > 0 ? inf : nan;
  if (x < 0) return digamma(1 - x) - M_PI / std::tan(M_PI * x);
  double shift = 0;
  for (; x < 10; x += 1) shift -= 1 / x;
  const double r = 1 / (x * x);
  return shift + std::log(x) - 1 / (2 * x) - r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r / 132))));
}

const std::vector<Op>& special_ops() {
  static const std::vector<Op> rows = {
      ONE("BesselI0", bessel_i(0, x)),
      ONE("BesselI0e", bessel_ie(0, x)),
      ONE("BesselI1", bessel_i(1, x)),
      ONE("BesselI1e", bessel_ie(1, x)),
      ONE("BesselJ0", bessel_j(0, x)),
      ONE("BesselJ1", bessel_j(1, x)),
      ONE("BesselK0", bessel_k(0, x)),
      ONE("BesselK0e", bessel_ke(0, x)),
      ONE("BesselK1", bessel_k(1, x)),
      ONE("BesselK1e", bessel_ke(1, x)),
      ONE("BesselY0", bessel_y(0, x)),
      ONE("BesselY1", bessel_y(1, x)),
      {"Betainc", infer_betainc, eval_betainc},
      ONE("Digamma", digamma(x)),
      ONE("Erfinv", erfinv(x)),
      ONE("Expint", expint(x)),
      TWO("Igamma", igamma(a, b)),
      TWO("Igammac", igammac(a, b)),
      ONE("Ndtri", ndtri(x)),
      TWO("Polygamma", polygamma(a, b)),
      TWO("Zeta", zeta(a, b)),
  };
  return rows;
}

}  // namespace cytodet::graph::ops
