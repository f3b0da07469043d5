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
  return x;
}

template <Act act, int N>
__attribute__((always_inline)) inline void activate_all(Vec (&x)[N]) {
  if constexpr (is_approximate_swish(act)) {
    approximate_swish<act>(x);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = activate<act>(x[i]);
  }
}

// Calls body.template operator()<act>() for the run-time act.
template <class Body>
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
  }
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
