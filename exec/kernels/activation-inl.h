// Activations on vectors in registers (Act of kernels.h).
#pragma once

#include "exec/kernels/kernels.h"
#include "exec/kernels/vec.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// 2^f on [-1/2, 1/2]: the minimax polynomial of degree 5 (relative error below 2e-7).
inline Vec exp2_of_fraction(Vec f) {
  Vec p = V::set(1.32764725e-3f);
  p = V::fma(p, f, V::set(9.67554096e-3f));
  p = V::fma(p, f, V::set(5.55071309e-2f));
  p = V::fma(p, f, V::set(2.40221202e-1f));
  p = V::fma(p, f, V::set(6.93146944e-1f));
  return V::fma(p, f, V::set(1.00000012f));
}

// 2^z. Sets without an instruction for it clamp z to [-126, 126].
template <class Set = V>
inline Vec exp2(Vec z) {
  if constexpr (requires { Set::times_power(z, z); }) {
    const Vec n = V::round(z);
    return Set::times_power(exp2_of_fraction(V::sub(z, n)), n);
  } else {
    z = V::min(V::max(z, V::set(-126.0f)), V::set(126.0f));
    const Vec magic = V::set(12582912.0f), shifted = V::add(z, magic);
    return V::scale_by_power(exp2_of_fraction(V::sub(z, V::sub(shifted, magic))), shifted);
  }
}

inline Vec one_plus_exp_minus(Vec x) { return V::add(exp2(V::mul(x, V::set(-1.44269504f))), V::set(1.0f)); }

// Swish as a quotient: x[i] / (1 + 2^(x[i] * exponent)) = x[i] / sum[i], where x[i] is overwritten by the numerator; exponent is
// -log2(e) times the scale of x. Each step is done for all of x before the next, since the steps of one x wait for each other.
// swish_3e5: sum = 1 + 2^n * p(f), where n + f = x * exponent, n whole and |f| <= 1/2; p of degree 3 has the value and the slope
// of 2^f at 0 and a relative error of at most 1.3e-4. swish_2e3: with z = -x * exponent / 2 the quotient is x * 2^z / (2^z +
// 2^-z). 2^z is read from the bits of the float 1 + z * 2^23 ulp, which is linear between whole powers. The errors of 2^z and
// 2^-z are nearly the same, so that of the quotient is small. z is clamped to [-60, 60], beyond which the quotient is x or 0 for
// |x| up to 2^67.
template <Act act, int N>
__attribute__((always_inline)) inline void swish_quotient(Vec (&x)[N], Vec (&sum)[N], Vec exponent) {
  if constexpr (act == Act::swish_3e5) {
    const Vec magic = V::set(12582912.0f);
    Vec shifted[N], minus_f[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) shifted[i] = V::fma(x[i], exponent, magic);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) minus_f[i] = V::fnma(x[i], exponent, V::sub(shifted[i], magic));
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      Vec p = V::fnma(minus_f[i], V::set(0.05549126f), V::set(0.24212018f));
      p = V::fnma(minus_f[i], p, V::set(0.69314718f));
      sum[i] = V::fnma(minus_f[i], p, V::set(1.0f));
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) sum[i] = V::add(V::scale_by_power(sum[i], shifted[i]), V::set(1.0f));
  } else {
    constexpr int one = 1 << 23, max_abs = 60 * one;
    const Vec steps = V::mul(exponent, V::set(-0.5f * one));
    V::I z[N];
    Vec up[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      const Vec powers = V::mul(x[i], steps);
      z[i] = V::to_int(act == Act::swish_2e3_bounded ? powers : V::limit(powers, V::set(max_abs)));
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) up[i] = V::linear_power(z[i]);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) sum[i] = V::add(up[i], V::linear_power_minus(z[i]));
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = V::mul(x[i], up[i]);
  }
}

// The polynomial of kSwishSmallPoly: x[i] comes in as half of the value.
template <int N>
__attribute__((always_inline)) inline void swish_polynomial(Vec (&x)[N], const Vec (&k)[4]) {
  Vec s[N], p[N];
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) s[i] = V::mul(x[i], x[i]);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) p[i] = V::fma(s[i], k[3], k[2]);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) p[i] = V::fma(s[i], p[i], k[1]);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) p[i] = V::fma(s[i], p[i], k[0]);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) x[i] = V::fma(s[i], p[i], x[i]);
}

// Swish of values that are scaled as RequantizeParams::curve is.
template <Act act, int N>
__attribute__((always_inline)) inline void approximate_swish(Vec (&x)[N], const Vec (&curve)[4]) {
  if constexpr (act == Act::swish_small_3e5) {
    swish_polynomial(x, curve);
  } else {
    Vec sum[N];
    swish_quotient<act>(x, sum, curve[0]);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = V::approximate_quotient(x[i], sum[i]);
  }
}

// Swish of the values themselves.
template <Act act, int N>
__attribute__((always_inline)) inline void approximate_swish(Vec (&x)[N]) {
  if constexpr (act == Act::swish_small_3e5) {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = V::mul(x[i], V::set(0.5f));
    approximate_swish<act>(
        x, {V::set(kSwishSmallPoly[0]), V::set(kSwishSmallPoly[1]), V::set(kSwishSmallPoly[2]), V::set(kSwishSmallPoly[3])});
  } else {
    approximate_swish<act>(x, {V::set(-1.44269504f)});
  }
}

// GELU: max(x, 0) - t / 2 * erfc(t / sqrt 2), t = |x|; erfc(t / sqrt 2) = 2^(-t * p(t)), p the minimax polynomial for t up to 6,
// from where on the second term is below 1e-8.
inline Vec gelu_of(Vec x) {
  const Vec t = V::min(V::max(x, V::sub(V::zero(), x)), V::set(6.0f));
  Vec p = V::set(-1.5662455e-7f);
  p = V::fma(p, t, V::set(3.9307975e-6f));
  p = V::fma(p, t, V::set(-3.8902352e-5f));
  p = V::fma(p, t, V::set(1.6392605e-4f));
  p = V::fma(p, t, V::set(2.0957362e-4f));
  p = V::fma(p, t, V::set(-7.1649235e-3f));
  p = V::fma(p, t, V::set(5.2563298e-2f));
  p = V::fma(p, t, V::set(4.5918893e-1f));
  p = V::fma(p, t, V::set(1.1511069f));
  const Vec tail = exp2(V::mul(V::sub(V::zero(), t), p));
  return V::fnma(V::mul(t, V::set(0.5f)), tail, V::max_keep_nan(x, V::zero()));
}

// x / (1 + 2^(-2 * z)) with z = log2(e) * 0.79788456 * (x + 0.044715 * x^3).
inline Vec gelu_tanh_of(Vec x) {
  const Vec steep = V::fma(V::mul(x, x), V::set(-0.10294324f), V::set(-2.3022082f));
  return V::div(x, V::add(exp2(V::mul(x, steep)), V::set(1.0f)));
}

// gelu_tanh_of(x) = x * 2^z / (2^z + 2^-z), with powers on straight lines between those of whole numbers, as in swish_2e3.
template <int N>
__attribute__((always_inline)) inline void approximate_gelu(Vec (&x)[N]) {
  constexpr float one = 1 << 23, max_abs = 60 * one;
  V::I z[N];
  Vec sum[N];
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) {
    const Vec steep = V::fma(V::mul(x[i], x[i]), V::set(0.05147162f * one), V::set(1.1511041f * one));
    z[i] = V::to_int(V::limit(V::mul(x[i], steep), V::set(max_abs)));
  }
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) {
    const Vec up = V::linear_power(z[i]);
    sum[i] = V::add(up, V::linear_power_minus(z[i]));
    x[i] = V::mul(x[i], up);
  }
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) x[i] = V::approximate_quotient(x[i], sum[i]);
}

constexpr bool is_approximate_swish(Act act) {
  return act == Act::swish_2e3 || act == Act::swish_2e3_bounded || act == Act::swish_3e5 || act == Act::swish_small_3e5;
}

template <Act act>
inline Vec activate(Vec x) {
  if constexpr (is_approximate_swish(act)) {
    Vec one[1] = {x};
    approximate_swish<act>(one);
    return one[0];
  }
  if constexpr (act == Act::relu) return V::max_keep_nan(x, V::zero());
  if constexpr (act == Act::relu6) return V::min_keep_nan(V::max_keep_nan(x, V::zero()), V::set(6.0f));
  if constexpr (act == Act::sigmoid) return V::div(V::set(1.0f), V::keep_nan(one_plus_exp_minus(x), x));
  if constexpr (act == Act::swish) return V::div(x, one_plus_exp_minus(x));
  if constexpr (act == Act::hard_swish) return V::mul(x, V::mul(activate<Act::relu6>(V::add(x, V::set(3.0f))), V::set(1.0f / 6)));
  if constexpr (act == Act::gelu) return gelu_of(x);
  if constexpr (act == Act::gelu_tanh) return gelu_tanh_of(x);
  if constexpr (act == Act::gelu_2e3) {
    Vec one[1] = {x};
    approximate_gelu(one);
    return one[0];
  }
  return x;
}

template <Act act, int N>
__attribute__((always_inline)) inline void activate_all(Vec (&x)[N]) {
  if constexpr (is_approximate_swish(act)) {
    approximate_swish<act>(x);
  } else if constexpr (act == Act::gelu_2e3) {
    approximate_gelu(x);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = activate<act>(x[i]);
  }
}

// Calls body.template operator()<act>() for the run-time act; without OfProducts, not for those that only products have (GELU).
template <bool OfProducts = true, class Body>
inline void with_act(Act act, Body body) {
  switch (act) {
    case Act::none:
      body.template operator()<Act::none>();
      break;
    case Act::relu:
      body.template operator()<Act::relu>();
      break;
    case Act::relu6:
      body.template operator()<Act::relu6>();
      break;
    case Act::sigmoid:
      body.template operator()<Act::sigmoid>();
      break;
    case Act::swish:
      body.template operator()<Act::swish>();
      break;
    case Act::swish_2e3:
      body.template operator()<Act::swish_2e3>();
      break;
    case Act::swish_2e3_bounded:
      body.template operator()<Act::swish_2e3_bounded>();
      break;
    case Act::swish_3e5:
      body.template operator()<Act::swish_3e5>();
      break;
    case Act::swish_small_3e5:
      body.template operator()<Act::swish_small_3e5>();
      break;
    case Act::hard_swish:
      body.template operator()<Act::hard_swish>();
      break;
    case Act::gelu:
      if constexpr (OfProducts) body.template operator()<Act::gelu>();
      break;
    case Act::gelu_tanh:
      if constexpr (OfProducts) body.template operator()<Act::gelu_tanh>();
      break;
    case Act::gelu_2e3:
      if constexpr (OfProducts) body.template operator()<Act::gelu_2e3>();
      break;
  }
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
