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

// An activation that is computed on results in units of their quantization step, which saves a multiplication.
constexpr bool is_in_steps(Act act) {
  return act == Act::none || act == Act::relu || act == Act::hard_swish || is_approximate_swish(act);
}

// 32-bit sums of products become floats, or (Requantize) quantized results; relu of those is Act::none with the greater `least`.
template <Act act, bool Requantize, int Rows, int Vectors>
inline void finish_q8(typename V::I (&acc)[Rows][Vectors], float* c, int64_t ldc, const ProductEpilogue& end) {
  if constexpr (Requantize) {
    const Vec least = V::set(end.least), qmax = V::set(end.requantize.quant.qmax);
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      const int at = v * V::width;
      const Vec scale = V::load(end.requantize.scales + at), bias = V::load(end.requantize.bias + at);
      Vec x[Rows];
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) x[r] = V::fma(V::to_float(acc[r][v]), scale, bias);
      if constexpr (is_approximate_swish(act)) {
        Vec curve[4];
        for (int i = 0; i < 4; ++i)
          curve[i] = V::load(end.requantize.curve[i] + at);  // the compiler drops what the activation does not use
        put_swish_q8<V, act>(x, curve, c + at, ldc, end.requantize);
      } else {
        if constexpr (act == Act::hard_swish) {  // x * clamp(x * step / 6 + 1/2, 0, 1)
          const Vec slope = V::load(end.requantize.curve[0] + at);
#pragma GCC unroll 16
          for (int r = 0; r < Rows; ++r)
            x[r] = V::mul(x[r], V::min(V::max(V::fma(x[r], slope, V::set(0.5f)), V::zero()), V::set(1.0f)));
        }
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) x[r] = V::min(V::max(x[r], least), qmax);
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
    if (e.stored.storage != StorageType::f32) {
      end.stored = e.stored;
      if (e.stored.storage == StorageType::q8) {
        end.stored.out = static_cast<uint8_t*>(e.stored.out) + column;
        end.stored.quant.inverse_scales += column;
      } else {
        end.stored.out = static_cast<uint16_t*>(e.stored.out) + column;
      }
      if (e.residual_f16.data) end.residual_f16 = {e.residual_f16.data + column, e.residual_f16.scale};
    }
    if (!e.requantize) return end;
    end.requantize = *e.requantize;
    end.least = e.act == Act::relu && e.requantize->quant.qmin < 0 ? 0 : e.requantize->quant.qmin;
    for (const float** columns : {&end.requantize.quant.inverse_scales, &end.requantize.scales, &end.requantize.bias})
      *columns += column;
    for (const float*& columns : end.requantize.curve) columns += column;
    return end;
  }
};

// Activation and requantization of `rows` rows of sums, [rows][kPanel], for activations that need them as floats.
template <Act act>
void requantize_floats(int64_t, int rows, const float* sums, float* c, int64_t ldc, const ProductEpilogue& end) {
  const QuantizeParams& quant = end.requantize.quant;
  for (int r = 0; r < rows; ++r, sums += kPanel, c += ldc)
    for (int at = 0; at < end.floats.columns; at += V::width) {
      const Vec x = V::mul(activate<act>(V::load(sums + at)), V::load(quant.inverse_scales + at));
      put_q8<V>({V::min(V::max(x, V::set(quant.qmin)), V::set(quant.qmax))}, c + at, ldc, end.requantize);
    }
}

// `left` values of a residual, at most a vector of them; 0 where there are none.
inline Vec residual_values(const float* p, float, int left) {
  return left >= V::width ? V::load(p) : left > 0 ? V::load_some(p, left) : V::zero();
}
template <class Set = V>
inline Vec residual_values(const uint16_t* p, float scale, int left) {
  if (left >= V::width) return V::mul(Set::load_f16(p), V::set(scale));
  uint16_t some[V::width] = {};
  for (int i = 0; i < left; ++i) some[i] = p[i];
  return V::mul(Set::load_f16(some), V::set(scale));
}

// Calls put(row, x) with the two vectors of each of `rows` rows of sums, [rows][kPanel], activated and with the residual added.
template <Act act, class Residual, class Put>
inline void finish_vectors(int rows, const float* sums, const Residual* residual, float scale, const ProductEpilogue& end,
                           Put put) {
  const int columns = end.floats.columns;
  const int64_t ldr = end.floats.ldr;
  const bool residual_first = end.floats.residual_first;
  for (int r = 0; r < rows; ++r, sums += kPanel) {
    Vec x[2];
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const int at = v * V::width;
      x[v] = at < columns ? V::load(sums + at) : V::zero();
      const Vec add = residual ? residual_values(residual + at, scale, columns - at) : V::zero();
      if (residual && residual_first) x[v] = V::add(x[v], add);
      x[v] = activate<act>(x[v]);
      if (residual && !residual_first) x[v] = V::add(x[v], add);
    }
    if (residual) residual += ldr;
    put(r, x);
  }
}

// Stores results as bytes, rounded to the nearest as KernelSet::quantize does; NaN becomes qmin.
template <Act act, class Residual>
void finish_bytes(int64_t first, int rows, const float* sums, const Residual* residual, float scale, const ProductEpilogue& end) {
  const QuantizeParams& quant = end.stored.quant;
  const float qmin = quant.qmin;  // copied, since stores of bytes may alias it
  const Vec qmax = V::set(quant.qmax), inverse[2] = {V::load(quant.inverse_scales), V::load(quant.inverse_scales + V::width)};
  const int columns = end.floats.columns;
  const int64_t stride = end.stored.stride;
  uint8_t* out = static_cast<uint8_t*>(end.stored.out) + first * stride;
  finish_vectors<act>(rows, sums, residual, scale, end, [&](int r, const Vec(&x)[2]) {
    const Vec low = V::min_keep_nan(V::mul(x[0], inverse[0]), qmax), high = V::min_keep_nan(V::mul(x[1], inverse[1]), qmax);
    uint8_t* to = out + r * stride;
    if (columns == kPanel) return V::store_bytes(to, low, high, qmin);
    uint8_t bytes[kPanel];
    V::store_bytes(bytes, low, high, qmin);
    for (int i = 0; i < columns; ++i) to[i] = bytes[i];
  });
}

template <Act act, class Set, class Residual>
void finish_halves(int64_t first, int rows, const float* sums, const Residual* residual, float scale,
                   const ProductEpilogue& end) {
  const Vec factor = V::set(1 / end.stored.fp16_scale);
  const int columns = end.floats.columns;
  const int64_t stride = end.stored.stride;
  uint16_t* out = static_cast<uint16_t*>(end.stored.out) + first * stride;
  finish_vectors<act>(rows, sums, residual, scale, end, [&](int r, const Vec(&x)[2]) {
    uint16_t* to = out + r * stride;
    uint16_t halves[kPanel];
    uint16_t* const at = columns == kPanel ? to : halves;
    Set::store_f16(at, V::mul(x[0], factor));
    Set::store_f16(at + V::width, V::mul(x[1], factor));
    if (columns == kPanel) return;
    for (int i = 0; i < columns; ++i) to[i] = halves[i];
  });
}

// Finishes `rows` rows of sums, from row `first` on, and stores them as end.stored says. The residual of floats is at these rows.
template <Act act, class Set = V>
void finish_stored(int64_t first, int rows, const float* sums, float*, int64_t, const ProductEpilogue& end) {
  const auto finish = [&](const auto* residual, float scale) {
    if constexpr (Set::packed4)
      if (end.stored.storage == StorageType::f16) return finish_halves<act, Set>(first, rows, sums, residual, scale, end);
    finish_bytes<act>(first, rows, sums, residual, scale, end);
  };
  if constexpr (Set::packed4)
    if (end.residual_f16.data) return finish(end.residual_f16.data + first * end.floats.ldr, end.residual_f16.scale);
  finish(end.floats.residual, 1);
}

template <class Layout>
void gemm_q8(const void* rows, int64_t m, const PackedQ8Weights& b, int64_t first_panel, int64_t last_panel, float* c,
             int64_t ldc, const Epilogue& e) {
  using P = Q8Product<Layout>;
  const auto* a = static_cast<const Layout::Q8*>(rows);
  if (e.stored.storage != StorageType::f32)
    return with_act(e.act, [&]<Act act>() {
      gemm_panels<P, Act::none, false>(a, m, b, first_panel, last_panel, c, ldc, e, finish_stored<act>);
    });
  if (!e.requantize) return gemm_floats<P>(a, m, b, first_panel, last_panel, c, ldc, e);
  with_act(e.act, [&]<Act act>() {
    if constexpr (is_in_steps(act))
      gemm_panels<P, act == Act::relu ? Act::none : act, true>(a, m, b, first_panel, last_panel, c, ldc, e);
    else
      gemm_panels<P, Act::none, false>(a, m, b, first_panel, last_panel, c, ldc, e, requantize_floats<act>);
  });
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
