// Products of q8 values (Q8Kernels::gemm), with results in float or requantized in the epilogue.
#pragma once

#include <type_traits>

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
      end.stored.out = static_cast<uint8_t*>(e.stored.out) + column * stored_bytes(e.stored.storage);
      if (e.stored.storage == StorageType::q8) end.stored.quant.inverse_scales += column;
      if (const StoredResidual& residual = e.stored_residual; residual.data) {
        end.stored_residual = residual;
        end.stored_residual.data = static_cast<const uint8_t*>(residual.data) + column * stored_bytes(residual.storage);
      }
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
void requantize_floats(int64_t, int rows, float* sums, float* c, int64_t ldc, const ProductEpilogue& end) {
  const QuantizeParams& quant = end.requantize.quant;
  for (int r = 0; r < rows; ++r, sums += kPanel, c += ldc)
    for (int at = 0; at < end.floats.columns; at += V::width) {
      const Vec x = V::mul(activate<act>(V::load(sums + at)), V::load(quant.inverse_scales + at));
      put_q8<V>({V::min(V::max(x, V::set(quant.qmin)), V::set(quant.qmax))}, c + at, ldc, end.requantize);
    }
}

// A residual's values, a vector of them at a time.
struct NoResidual {
  static constexpr bool present = false;
};
struct F32Residual {
  static constexpr bool present = true;
  using Element = float;
  const float* data;
  explicit F32Residual(const ProductEpilogue& end) : data(end.floats.residual) {}
  Vec values(const float* p) const { return V::load(p); }
};
template <class Set = V>
struct F16Residual {
  static constexpr bool present = true;
  using Element = uint16_t;
  const uint16_t* data;
  Vec scale;
  explicit F16Residual(const ProductEpilogue& end)
      : data(static_cast<const uint16_t*>(end.stored_residual.data)), scale(V::set(end.stored_residual.scale)) {}
  Vec values(const uint16_t* p) const { return V::mul(Set::load_f16(p), scale); }
};
struct Q8Residual {
  static constexpr bool present = true;
  using Element = uint8_t;
  const uint8_t* data;
  Vec scale, qmin;
  explicit Q8Residual(const ProductEpilogue& end)
      : data(static_cast<const uint8_t*>(end.stored_residual.data)),
        scale(V::set(end.stored_residual.scale)),
        qmin(V::set(end.stored_residual.qmin)) {}
  Vec values(const uint8_t* p) const { return V::mul(V::add(V::load_bytes(p), qmin), scale); }
};

// Results store rows of a product, two vectors of a row at a time; `out` is row 0, `stride` the elements between rows.

// Results are bytes, rounded to the nearest as KernelSet::quantize does; NaN becomes qmin.
struct ByteResults {
  uint8_t* out;
  int64_t stride;
  float qmin;  // copied, since stores of bytes may alias the epilogue
  Vec qmax, inverse[2];
  explicit ByteResults(const StoredResults& to)
      : out(static_cast<uint8_t*>(to.out)),
        stride(to.stride),
        qmin(to.quant.qmin),
        qmax(V::set(to.quant.qmax)),
        inverse{V::load(to.quant.inverse_scales), V::load(to.quant.inverse_scales + V::width)} {}
  void store(uint8_t* to, const Vec (&x)[2]) const {
    V::store_bytes(to, V::min_keep_nan(V::mul(x[0], inverse[0]), qmax), V::min_keep_nan(V::mul(x[1], inverse[1]), qmax), qmin);
  }
};
// Results are fp16.
template <class Set = V>
struct F16Results {
  uint16_t* out;
  int64_t stride;
  Vec factor;
  explicit F16Results(const StoredResults& to)
      : out(static_cast<uint16_t*>(to.out)), stride(to.stride), factor(V::set(1 / to.fp16_scale)) {}
  void store(uint16_t* to, const Vec (&x)[2]) const {
    Set::store_f16(to, V::mul(x[0], factor));
    Set::store_f16(to + V::width, V::mul(x[1], factor));
  }
};
// Results stay sums, [rows][kPanel].
struct SumResults {
  float* out;
  static constexpr int64_t stride = kPanel;
  void store(float* to, const Vec (&x)[2]) const {
    V::store(to, x[0]);
    V::store(to + V::width, x[1]);
  }
};

// Copies the first `columns` elements of a vector, all of them where there are more.
template <class Element>
inline void copy_vector(const Element* from, int columns, Element* to) {
  if (columns >= V::width) {
    __builtin_memcpy(to, from, V::width * sizeof(Element));
    return;
  }
  for (int i = 0; i < columns; ++i) to[i] = from[i];
}

// The residual's values for the first vector of a row's `columns` columns from p on, or for the second, which begins behind it.
// Other lanes than the row's hold any values. If the row has a vector's values before its end, they are read as a whole and moved
// to their lanes: a vector that was just written in pieces is slow to read.
template <class Residual, class Set = V>
inline Vec residual_values(const Residual& residual, const typename Residual::Element* p, int columns, int vector,
                           bool preceded) {
  const int left = columns - vector * V::width;
  if (left >= V::width) return residual.values(p + vector * V::width);
  if constexpr (requires(Vec x, typename Set::I lanes) { Set::spread(x, lanes); })
    if (vector > 0 || preceded) {
      int32_t lanes[V::width];
      for (int i = 0; i < V::width; ++i) lanes[i] = (i - columns) & (V::width - 1);
      return Set::spread(residual.values(p + columns - V::width), V::iload(lanes));
    }
  typename Residual::Element some[V::width] = {};
  copy_vector(p + vector * V::width, left, some);
  return residual.values(some);
}

// Adds the residual to `rows` rows of sums, [rows][kPanel], activates them and stores them as rows [first, first + rows). Columns
// of a panel that the matrix has not are not stored, nor is their residual read.
template <Act act, class Results, class Residual>
void finish_and_store(int64_t first, int rows, const float* sums, Residual residual, Results results, const TileEpilogue& tile) {
  auto* out = results.out + first * results.stride;
  const int64_t stride = results.stride, ldr = tile.ldr;
  if constexpr (Residual::present) residual.data += first * ldr;
  if (tile.columns == kPanel) {
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
      Vec x[2];
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        x[v] = V::load(sums + v * V::width);
        if constexpr (Residual::present) x[v] = V::add(x[v], residual.values(residual.data + v * V::width));
        x[v] = activate<act>(x[v]);
      }
      results.store(out, x);
      out += stride;
      sums += kPanel;
      if constexpr (Residual::present) residual.data += ldr;
    }
    return;
  }
  const int last = tile.columns > V::width ? tile.columns - V::width : 0;  // columns of the second vector
  for (int r = 0; r < rows; ++r, out += stride, sums += kPanel) {
    Vec x[2] = {V::load(sums), last > 0 ? V::load(sums + V::width) : V::zero()};
    if constexpr (Residual::present) {
      for (int v = 0; v < (last > 0 ? 2 : 1); ++v)
        x[v] = V::add(x[v], residual_values(residual, residual.data, tile.columns, v, tile.preceded));
      residual.data += ldr;
    }
    for (Vec& values : x) values = activate<act>(values);
    std::remove_pointer_t<decltype(out)> stored[kPanel];
    results.store(stored, x);
    copy_vector(stored, tile.columns, out);
    copy_vector(stored + V::width, last, out + V::width);
  }
}

// Calls body(residual), of the type that the residual is stored in. Row `first` of floats is what `end` points at.
template <class Set, class Body>
__attribute__((always_inline)) inline void with_residual(int64_t first, const ProductEpilogue& end, Body body) {
  if constexpr (Set::packed4)
    if (end.stored_residual.storage == StorageType::f16) return body(F16Residual<Set>(end));
  if (end.stored_residual.storage == StorageType::q8) return body(Q8Residual(end));
  F32Residual floats(end);
  floats.data -= first * end.floats.ldr;
  body(floats);
}

template <Act act, class Set, class Residual>
inline void finish_and_store_as(int64_t first, int rows, const float* sums, const Residual& residual,
                                const ProductEpilogue& end) {
  if constexpr (Set::packed4)
    if (end.stored.storage == StorageType::f16)
      return finish_and_store<act>(first, rows, sums, residual, F16Results<Set>(end.stored), end.floats);
  finish_and_store<act>(first, rows, sums, residual, ByteResults(end.stored), end.floats);
}

template <Act act, class Set>
void finish_with_residual(int64_t first, int rows, const float* sums, const ProductEpilogue& end) {
  with_residual<Set>(first, end, [&](const auto& residual) { finish_and_store_as<act, Set>(first, rows, sums, residual, end); });
}

// Finishes `rows` rows of sums, from row `first` on, and stores them as end.stored says. With a residual only relu and no
// activation take one pass: each pair of an activation and a type of residual is kilobytes of code.
template <Act act, class Set = V>
void finish_stored(int64_t first, int rows, float* sums, float*, int64_t, const ProductEpilogue& end) {
  const NoResidual none;
  if (!end.floats.residual && !end.stored_residual.data) return finish_and_store_as<act, Set>(first, rows, sums, none, end);
  if constexpr (act == Act::none || act == Act::relu)
    if (act == Act::none || end.floats.residual_first) return finish_with_residual<act, Set>(first, rows, sums, end);
  const SumResults in_place{sums - first * kPanel};
  if (end.floats.residual_first) {
    with_residual<Set>(first, end, [&](const auto& residual) {
      finish_and_store<Act::none>(first, rows, sums, residual, in_place, end.floats);
    });
    return finish_and_store_as<act, Set>(first, rows, sums, none, end);
  }
  finish_and_store<act>(first, rows, sums, none, in_place, end.floats);
  finish_with_residual<Act::none, Set>(first, rows, sums, end);
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
