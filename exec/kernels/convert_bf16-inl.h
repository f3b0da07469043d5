// Conversions to and from bf16, and packing of rows for products on bf16.
#pragma once

#include "exec/kernels/convert-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// A bf16 value in memory, told apart from fp16.
struct Bf16 {
  uint16_t bits;
};
template <class Set = V>
inline Vec load_values(const Bf16* p) {
  return Set::load_bf16(p);
}

// out[rows][ldo] = in[rows][lda] * gate (null: 1) rounded, k columns of each and then `zeros` zeros.
template <class Set, class In>
void convert_to_bf16(const In* in, int64_t lda, int64_t rows, int64_t k, const float* gate, int64_t zeros, uint16_t* out,
                     int64_t ldo) {
  convert_rows<2>(
      in, lda, rows, k, ldo, zeros, out, [&](int64_t i) { return gate ? gate[i] : 1.0f; },
      [](uint16_t* to, const Vec(&x)[2]) { Set::store_bf16(to, x[0], x[1]); });
}

template <class Set>
void pack_bf16(const float* in, int64_t lda, int64_t rows, int64_t k, const float* gate, void* out) {
  convert_to_bf16<Set>(in, lda, rows, k, gate, k % 2, static_cast<uint16_t*>(out), row_groups(k, 2) * 2);
}
template <class Set>
void repack_bf16(const uint16_t* in, int64_t rows, int64_t k, const float* gate, void* out) {
  convert_to_bf16<Set>(reinterpret_cast<const Bf16*>(in), k, rows, k, gate, k % 2, static_cast<uint16_t*>(out),
                       row_groups(k, 2) * 2);
}
template <class Set>
void f32_to_bf16(const float* in, int64_t lda, int64_t rows, int64_t k, uint16_t* out, int64_t ldo) {
  convert_to_bf16<Set>(in, lda, rows, k, nullptr, 0, out, ldo);
}

template <class Set>
void bf16_to_f32(const uint16_t* in, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) V::store(out + i, Set::load_bf16(in + i));
  if (i == n) return;
  uint16_t tail[V::width] = {};
  for (int64_t j = i; j < n; ++j) tail[j - i] = in[j];
  V::store_some(out + i, Set::load_bf16(tail), static_cast<int>(n - i));
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
