// Conversions between storage types: quantize, dequantize, fake_quantize, fp16, and packing of rows for products in 8 bits.
#pragma once

#include <type_traits>

#include "exec/kernels/kernels.h"
#include "exec/kernels/vec.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// Values as floats: of f32, and of fp16 without its scale.
inline Vec load_values(const float* p) { return V::load(p); }
template <class Set = V>
inline Vec load_values(const uint16_t* p) {
  return Set::load_f16(p);
}

// Converts rows: out[rows][stride] of in[rows][lda], k columns of each and then `zeros` zeros, `Vectors` vectors at a time:
// store(out + column, in[column] * factor). `factor_of` is a function of the column, or, where factors lie in memory, a pointer
// to the k of them: those are read where they lie, since copying them costs as much as converting a row.
template <int Vectors, class In, class Element, class Factor, class Store>
inline void convert_rows(const In* in, int64_t lda, int64_t rows, int64_t k, int64_t stride, int64_t zeros, Element* out,
                         Factor factor_of, Store store) {
  constexpr int64_t kBlock = 1536;  // columns whose factors are computed at once
  constexpr int kStep = Vectors * V::width;
  alignas(64) float copied[kBlock + kStep];
  const auto convert = [&](const In* from, const float* factor, Element* to) {
    Vec x[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) x[v] = V::mul(load_values(from + v * V::width), V::load(factor + v * V::width));
    store(to, x);
  };
  const auto convert_columns = [&](const In* from, const float* factors, int64_t columns, Element* to) {
    int64_t i = 0;
    for (; i + kStep <= columns; i += kStep) convert(from + i, factors + i, to + i);
    if (i == columns) return;
    In tail[kStep] = {};
    alignas(64) float tail_factors[kStep] = {};
    Element converted[kStep];
    for (int64_t j = i; j < columns; ++j) tail[j - i] = from[j], tail_factors[j - i] = factors[j];
    convert(tail, tail_factors, converted);
    for (int64_t j = i; j < columns; ++j) to[j] = converted[j - i];
  };
  const auto factor_at = [&](int64_t i) {
    if constexpr (std::is_pointer_v<Factor>)
      return factor_of[i];
    else
      return factor_of(i);
  };
  if (rows > 1 && lda == k && stride == k && k % kStep != 0 && 2 * k <= kBlock) {
    // Short rows without gaps are joined to longer ones that end with a whole vector.
    int64_t joined = 1;
    while (joined * k % kStep != 0) joined *= 2;
    while (8 * joined <= rows && 2 * joined * k <= kBlock) joined *= 2;
    if (joined * k <= kBlock) {
      for (int64_t i = 0; i < joined * k; ++i) copied[i] = i < k ? factor_at(i) : copied[i - k];
      for (int64_t r = 0; r < rows; r += joined)
        convert_columns(in + r * k, copied, (rows - r < joined ? rows - r : joined) * k, out + r * k);
      return;
    }
  }
  for (int64_t first = 0; first < k; first += kBlock) {
    const int64_t columns = k - first < kBlock ? k - first : kBlock;
    const float* factors = copied;
    if constexpr (std::is_pointer_v<Factor>)
      factors = factor_of + first;
    else
      for (int64_t i = 0; i < columns; ++i) copied[i] = factor_of(first + i);
    for (int64_t r = 0; r < rows; ++r) convert_columns(in + r * lda + first, factors, columns, out + r * stride + first);
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = k; i < k + zeros; ++i) out[r * stride + i] = 0;
}

// pack_q8 of the values in[i] * scale.
template <class Layout, class In>
void pack_q8_values(const In* in, float scale, int64_t lda, int64_t rows, int64_t k, const float* gate,
                    const QuantizeParams& params, void* out) {
  const Vec qmax = V::set(params.qmax);
  const float qmin = params.qmin;  // copied, since stores of bytes may alias `params`
  constexpr int kVectors = Layout::vectors;
  const int64_t stride = row_groups(k, Layout::group) * Layout::group;
  const auto store = [&](Layout::Q8* to, Vec(&x)[kVectors]) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) x[v] = V::min_keep_nan(x[v], qmax);
    Layout::store_q8(to, x, qmin);
  };
  const auto factor_of = [&](int64_t i) { return params.inverse_scales[i] * (gate ? gate[i] : 1.0f) * scale; };
  if (!gate && scale == 1)
    convert_rows<kVectors>(in, lda, rows, k, stride, stride - k, static_cast<Layout::Q8*>(out), params.inverse_scales, store);
  else
    convert_rows<kVectors>(in, lda, rows, k, stride, stride - k, static_cast<Layout::Q8*>(out), factor_of, store);
}

template <class Layout>
void pack_q8(const float* in, int64_t lda, int64_t rows, int64_t k, const float* gate, const QuantizeParams& params, void* out) {
  pack_q8_values<Layout>(in, 1, lda, rows, k, gate, params, out);
}
template <class Layout>
void pack_q8_f16(const Fp16Values& in, int64_t lda, int64_t rows, int64_t k, const float* gate, const QuantizeParams& params,
                 void* out) {
  pack_q8_values<Layout>(in.data, in.scale, lda, rows, k, gate, params, out);
}

template <class Layout>
void repack_q8(const uint8_t* in, int64_t rows, int64_t k, float qmin, void* out) {
  const int64_t stride = row_groups(k, Layout::group) * Layout::group;
  const int first = Layout::group == 4 ? 0 : static_cast<int>(qmin);  // bytes of packed rows count from qmin too
  auto* to = static_cast<Layout::Q8*>(out);
  for (int64_t r = 0; r < rows; ++r, in += k, to += stride) {
    for (int64_t i = 0; i < k; ++i) to[i] = static_cast<Layout::Q8>(in[i] + first);
    for (int64_t i = k; i < stride; ++i) to[i] = 0;
  }
}

template <class Set>
void quantize(const float* in, int64_t lda, int64_t rows, int64_t k, const QuantizeParams& params, uint8_t* out, int64_t ldo) {
  const Vec qmax = V::set(params.qmax);
  const float qmin = params.qmin;  // copied, since stores of bytes may alias `params`
  const float* factor_of = params.inverse_scales;
  if constexpr (Set::packed4) {
    convert_rows<Set::vectors>(in, lda, rows, k, ldo, 0, out, factor_of, [&](uint8_t* to, Vec(&x)[Set::vectors]) {
#pragma GCC unroll 4
      for (int v = 0; v < Set::vectors; ++v) x[v] = V::min_keep_nan(x[v], qmax);
      Set::store_q8(to, x, qmin);
    });
  } else {
    convert_rows<2>(in, lda, rows, k, ldo, 0, out, factor_of, [&](uint8_t* to, const Vec(&x)[2]) {
      V::store_bytes(to, V::min_keep_nan(x[0], qmax), V::min_keep_nan(x[1], qmax), qmin);
    });
  }
}

inline void dequantize(const uint8_t* in, int64_t n, float qmin, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(in[i]) + qmin;
}

// q of x as a float; NaN becomes qmin.
inline Vec to_q8(Vec x, Vec inverse_scale, Vec qmin, Vec qmax) {
  return V::round(V::min(V::max(V::mul(x, inverse_scale), qmin), qmax));
}

inline void fake_quantize(const float* in, float* out, int64_t pixels, int64_t channels, const QuantizeParams& params) {
  const float* inverse = params.inverse_scales;
  const Vec qmin = V::set(params.qmin), qmax = V::set(params.qmax);
  for (int64_t p = 0; p < pixels; ++p, in += channels, out += channels) {
    int64_t i = 0;
    for (; i + V::width <= channels; i += V::width) V::store(out + i, to_q8(V::load(in + i), V::load(inverse + i), qmin, qmax));
    if (i == channels) continue;
    alignas(64) float tail[V::width] = {};
    for (int64_t j = i; j < channels; ++j) tail[j - i] = in[j];
    V::store(tail, to_q8(V::load(tail), V::load(inverse + i), qmin, qmax));
    for (int64_t j = i; j < channels; ++j) out[j] = tail[j - i];
  }
}

template <class Set>
void pack4_f32(const float* in, int64_t pixels, int64_t channels, const QuantizeParams& params, int byte, uint32_t* out,
               int64_t pixel_stride) {
  const Vec qmin = V::set(params.qmin), qmax = V::set(params.qmax);
  const typename Set::ByteLane at(params.qmin, byte);
  const auto merge = [&](const float* from, int64_t column, uint32_t* to) {
    // NaN becomes qmin.
    const Vec x = V::mul(V::load(from), V::load(params.inverse_scales + column));
    Set::merge_q8(to, V::min(V::max(x, qmin), qmax), at);
  };
  for (int64_t p = 0; p < pixels; ++p, in += channels, out += pixel_stride) {
    int64_t i = 0;
    for (; i + V::width <= channels; i += V::width) merge(in + i, i, out + i);
    if (i == channels) continue;
    float tail[V::width] = {};
    for (int64_t j = i; j < channels; ++j) tail[j - i] = in[j];
    merge(tail, i, out + i);  // packed4 rows are of whole panels
  }
}

template <class Set>
void pack4_q8(const uint8_t* in, int64_t pixels, int64_t channels, int byte, uint32_t* out, int64_t pixel_stride) {
  const uint32_t others = ~(0xffu << 8 * byte);
  for (int64_t p = 0; p < pixels; ++p, in += channels, out += pixel_stride)
    for (int64_t i = 0; i < channels; ++i) out[i] = (out[i] & others) | static_cast<uint32_t>(in[i]) << 8 * byte;
}

template <class Set>
void pack4_fill(uint32_t* packed4, int64_t n, int byte, uint8_t value) {
  const uint32_t others = ~(0xffu << 8 * byte), bits = static_cast<uint32_t>(value) << 8 * byte;
  for (int64_t i = 0; i < n; ++i) packed4[i] = (packed4[i] & others) | bits;
}

template <class Set>
void f32_to_f16(const float* in, int64_t lda, int64_t rows, int64_t k, float scale, uint16_t* out, int64_t ldo) {
  const Vec factor = V::set(1 / scale);
  if (lda == k && ldo == k) {  // one row
    k *= rows;
    rows = 1;
  }
  for (int64_t r = 0; r < rows; ++r, in += lda, out += ldo) {
    int64_t i = 0;
    for (; i + V::width <= k; i += V::width) Set::store_f16(out + i, V::mul(V::load(in + i), factor));
    if (i == k) continue;
    float tail[V::width] = {};
    uint16_t converted[V::width];
    for (int64_t j = i; j < k; ++j) tail[j - i] = in[j];
    Set::store_f16(converted, V::mul(V::load(tail), factor));
    for (int64_t j = i; j < k; ++j) out[j] = converted[j - i];
  }
}

template <class Set>
void f16_to_f32(const Fp16Values& in, int64_t n, float* out) {
  const Vec scale = V::set(in.scale);
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) V::store(out + i, V::mul(Set::load_f16(in.data + i), scale));
  if (i == n) return;
  uint16_t tail[V::width] = {};
  for (int64_t j = i; j < n; ++j) tail[j - i] = in.data[j];
  V::store_some(out + i, V::mul(Set::load_f16(tail), scale), static_cast<int>(n - i));
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
