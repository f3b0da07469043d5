// Products of q8 values (Q8Kernels::gemm), with results in float or requantized in the epilogue.
#pragma once

#include "exec/kernels/gemm_packed-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// Stores a vector of requantized results, already clamped to [qmin, qmax], into each of Rows rows of c.
template <class Set, int Rows>
inline void put_q8(const Vec (&x)[Rows], float* c, int64_t ldc, const RequantizeParams& q8) {
  if constexpr (Set::packed4) {
    const typename Set::ByteLane byte(q8.quant.qmin, q8.byte);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) Set::merge_q8(reinterpret_cast<uint32_t*>(c) + r * ldc, x[r], byte);
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) V::store(c + r * ldc, V::round(x[r]));
  }
}

// Requantizes approximate_swish of x and stores it; with swish_2e3_bounded results cannot be below qmin.
template <class Set, Act act, int Rows>
inline void put_swish_q8(Vec (&x)[Rows], const Vec (&curve)[4], float* c, int64_t ldc, const RequantizeParams& q8) {
  const float qmin = q8.quant.qmin, qmax = q8.quant.qmax;
  if constexpr (Set::packed4) {
    // A float near 1.5 * 2^23 has no bits behind the point: adding that rounds, and the low byte is q - qmin.
    constexpr float whole = 12582912.0f;
    const typename Set::ByteLane byte(qmin, q8.byte);
    const Vec from = V::set(whole - qmin), to = V::set(whole - qmin + qmax);
    if constexpr (act == Act::swish_small_3e5) {
      swish_polynomial(x, curve);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) x[r] = V::add(x[r], from);
    } else {
      Vec sum[Rows];
      swish_quotient<act>(x, sum, curve[0]);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) x[r] = Set::approximate_quotient_plus(x[r], sum[r], from);
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      x[r] = V::min(x[r], to);
      if constexpr (act != Act::swish_2e3_bounded) x[r] = V::max(x[r], V::set(whole));
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) Set::merge_bytes(reinterpret_cast<uint32_t*>(c) + r * ldc, Set::bits(x[r]), byte);
  } else {
    approximate_swish<act>(x, curve);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      if constexpr (act != Act::swish_2e3_bounded) x[r] = V::max(x[r], V::set(qmin));
      V::store(c + r * ldc, V::round(V::min(x[r], V::set(qmax))));
    }
  }
}

// 32-bit sums of products become floats, or (Requantize) quantized results. in_steps: the activation is computed on results in
// units of their quantization step, which saves a multiplication.
template <Act act, bool Requantize, int Rows, int Vectors>
inline void finish_q8(typename V::I (&acc)[Rows][Vectors], float* c, int64_t ldc, const ProductEpilogue& end) {
  if constexpr (Requantize) {
    constexpr bool in_steps = act == Act::none || act == Act::relu || is_approximate_swish(act);
    const Vec qmin = V::set(end.requantize.quant.qmin), qmax = V::set(end.requantize.quant.qmax);
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      const int at = v * V::width;
      const Vec scale = V::load((in_steps ? end.requantize.scales : end.scales) + at);
      const Vec bias = V::load((in_steps ? end.requantize.bias : end.floats.bias) + at);
      Vec x[Rows];
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) x[r] = V::fma(V::to_float(acc[r][v]), scale, bias);
      if constexpr (is_approximate_swish(act)) {
        Vec curve[4];
        for (int i = 0; i < 4; ++i)
          curve[i] = V::load(end.requantize.curve[i] + at);  // the compiler drops what the activation does not use
        put_swish_q8<V, act>(x, curve, c + at, ldc, end.requantize);
      } else {
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          x[r] = activate<act>(x[r]);
          if constexpr (!in_steps) x[r] = V::mul(x[r], V::load(end.requantize.quant.inverse_scales + at));
          x[r] = V::min(V::max(x[r], qmin), qmax);
        }
        put_q8<V>(x, c + at, ldc, end.requantize);
      }
    }
  } else {
    Vec sums[Rows][Vectors];
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      const Vec scale = V::load(end.scales + v * V::width), bias = V::load(end.floats.bias + v * V::width);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) sums[r][v] = V::fma(V::to_float(acc[r][v]), scale, bias);
    }
    finish_tile<act, Rows, Vectors>(sums, c, ldc, end.floats);
  }
}

// Products of q8 values, exact in 32 bits. Layout: V, or V::Safe16Bit for 16-bit-safe weights.
template <class Layout>
struct Q8Product {
  using Set = Layout;
  using Matrix = PackedQ8Weights;
  using Element = Layout::Q8;
  using Sum = V::I;
  static constexpr int group = Layout::group, blocks = Layout::blocks;
  static Sum start(const ProductEpilogue& end, int column) {
    if constexpr (group == 4) return V::iload(end.zero_point_corrections + column);
    return V::izero();
  }
  static Sum dot(Sum sum, V::I row, V::I column) { return Layout::dot(sum, row, column); }
  template <Act act, bool Requantize, int Rows, int Vectors>
  static void finish(Sum (&acc)[Rows][Vectors], float* c, int64_t ldc, const ProductEpilogue& end) {
    finish_q8<act, Requantize>(acc, c, ldc, end);
  }
  static ProductEpilogue end(const Matrix& b, const TileEpilogue& floats, const Epilogue& e, int64_t column) {
    ProductEpilogue end{floats, b.scales + column, group == 4 ? b.zero_point_corrections + column : nullptr, {}};
    if (!e.requantize) return end;
    end.requantize = *e.requantize;
    for (const float** columns : {&end.requantize.quant.inverse_scales, &end.requantize.scales, &end.requantize.bias})
      *columns += column;
    for (const float*& columns : end.requantize.curve) columns += column;
    return end;
  }
};

template <class Layout>
void gemm_q8(const void* rows, int64_t m, const PackedQ8Weights& b, int64_t first_panel, int64_t last_panel, float* c,
             int64_t ldc, const Epilogue& e) {
  const auto* a = static_cast<const Layout::Q8*>(rows);
  with_act(e.act, [&]<Act act>() {
    if (e.requantize)
      gemm_panels<Q8Product<Layout>, act, true>(a, m, b, first_panel, last_panel, c, ldc, e);
    else
      gemm_panels<Q8Product<Layout>, act, false>(a, m, b, first_panel, last_panel, c, ldc, e);
  });
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
