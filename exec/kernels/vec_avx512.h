// V for AVX-512 (F, BW, VL, DQ): vectors of 16 floats; with VNNI also products of bytes summed in 32 bits, with BF16 products of
// bf16 pairs. vec.h says what each member does.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "exec/kernels/inline_asm.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

struct V {
  using T = __m512;
  static constexpr int width = 16;
  static constexpr int q8_tile_rows = 12;
  static constexpr int f32_tile_rows = 14;
  static constexpr int segment_tile_rows = 14;
  using I = __m512i;
  static I izero() { return _mm512_setzero_si512(); }
  static I iload(const void* p) { return _mm512_loadu_si512(p); }
  static void istore(void* p, I x) { _mm512_storeu_si512(p, x); }
  static I four_bytes(const void* p) { return _mm512_castps_si512(_mm512_set1_ps(*static_cast<const float*>(p))); }
  static T load_bytes(const uint8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static T to_float(I x) { return _mm512_cvtepi32_ps(x); }
  static T round(T x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static void store_bytes(uint8_t* p, T x, T y, float qmin) {
    const I from = _mm512_set1_epi32(static_cast<int>(qmin));
    const auto bytes = [&](T values) {
      return _mm512_cvtusepi32_epi8(_mm512_max_epi32(_mm512_sub_epi32(_mm512_cvtps_epi32(values), from), izero()));
    };
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes(x));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + width), bytes(y));
  }
#ifdef __AVX512VNNI__
  using Q8 = uint8_t;
  static constexpr int group = 4, blocks = 1, vectors = 4;
  static I dot(I sum, I a, I b) {
    CYTODET_ADD_PRODUCTS("vpdpbusd", _mm512_dpbusd_epi32, sum, a, b);
    return sum;
  }
  static void store_q8(uint8_t* p, const T (&x)[4], float qmin) {
    const I from = _mm512_set1_epi16(static_cast<int16_t>(qmin));
    const auto pair = [&](T a, T b) {
      return _mm512_subs_epi16(_mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b)), from);
    };
    const I order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(pair(x[0], x[1]), pair(x[2], x[3]))));
  }

  static I repeat_bytes(const uint8_t* p) { return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static I spread_bytes(I x, I lanes) { return _mm512_permutexvar_epi32(lanes, x); }

  static constexpr bool packed4 = true;
  static constexpr int packed4_pixels = 8;
  struct ByteLane {
    ByteLane(float qmin, int byte) : from(_mm512_set1_epi32(static_cast<int>(qmin))), mask(0x1111111111111111u << byte) {}
    I from;
    __mmask64 mask;
  };
  static void merge_q8(uint32_t* p, T x, const ByteLane& byte) {
    merge_bytes(p, _mm512_sub_epi32(_mm512_cvtps_epi32(x), byte.from), byte);
  }
  static void merge_bytes(uint32_t* p, I x, const ByteLane& byte) {
    const I everywhere = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
    _mm512_storeu_si512(p, _mm512_mask_shuffle_epi8(_mm512_loadu_si512(p), byte.mask, x, everywhere));
  }
  static I bits(T x) { return _mm512_castps_si512(x); }
  static I shift_bytes(I low, I below, int bytes) {
    return _mm512_or_si512(_mm512_sllv_epi32(low, _mm512_set1_epi32(8 * bytes)),
                           _mm512_srlv_epi32(below, _mm512_set1_epi32(32 - 8 * bytes)));
  }
  static void store_f16(uint16_t* p, T x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static T load_f16(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
  static void store_q8_bytes(uint8_t* p, T x, float qmin) {
    const I q8 = _mm512_sub_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(static_cast<int>(qmin)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtusepi32_epi8(_mm512_max_epi32(q8, izero())));
  }
#else
  static constexpr bool packed4 = false;
  using Q8 = int16_t;
  static constexpr int group = 2, blocks = 1, vectors = 2;
  static I dot(I sum, I a, I b) {
    const I products = _mm512_madd_epi16(a, b);
    CYTODET_ADD(_mm512_add_epi32, sum, products);
    return sum;
  }
  static void store_q8(int16_t* p, const T (&x)[2], float qmin) {
    const I order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
    const I q8 = _mm512_permutexvar_epi64(order, _mm512_packs_epi32(_mm512_cvtps_epi32(x[0]), _mm512_cvtps_epi32(x[1])));
    _mm512_storeu_si512(p, _mm512_max_epi16(q8, _mm512_set1_epi16(static_cast<int16_t>(qmin))));
  }
  struct Safe16Bit {
    using Q8 = uint8_t;
    static constexpr int group = 4, blocks = 2, vectors = 2;
    static I products(I a, I b) { return _mm512_maddubs_epi16(a, b); }
    static I add_products(I x, I y) { return _mm512_add_epi16(x, y); }
    static I add_sums(I sum, I products) { return dot(sum, products, _mm512_set1_epi16(1)); }
    static void store_q8(uint8_t* p, const T (&x)[2], float qmin) { store_bytes(p, x[0], x[1], qmin); }
  };
#endif
#ifdef __AVX512BF16__
  static T dot_bf16(T sum, I a, I b) {
    CYTODET_ADD_PRODUCTS("vdpbf16ps", _mm512_dpbf16_ps, sum, a,
                         b);  // integers: clang 16 cannot place vectors of bf16 in assembly
    return sum;
  }
  static void store_bf16(uint16_t* p, T x, T y) { _mm512_storeu_si512(p, (I)_mm512_cvtne2ps_pbh(y, x)); }
  static void store_bf16(uint16_t* p, T x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_castsi512_si256((I)_mm512_cvtne2ps_pbh(x, x)));
  }
  static T load_bf16(const void* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p))), 16));
  }
#endif
  static T zero() { return _mm512_setzero_ps(); }
  static T set(float x) { return _mm512_set1_ps(x); }
  static T load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, T x) { _mm512_storeu_ps(p, x); }
  static T load_some(const float* p, int n) { return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p); }
  static void store_some(float* p, T x, int n) { _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), x); }
  static T spread(T x, I lanes) { return _mm512_permutexvar_ps(lanes, x); }
  static T add(T a, T b) { return _mm512_add_ps(a, b); }
  static T sub(T a, T b) { return _mm512_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm512_mul_ps(a, b); }
  static T div(T a, T b) { return _mm512_div_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm512_fmadd_ps(a, b, c); }
  static T fnma(T a, T b, T c) { return _mm512_fnmadd_ps(a, b, c); }
  static T approximate_quotient(T a, T b) { return mul(a, _mm512_rcp14_ps(b)); }
  static T approximate_quotient_plus(T a, T b, T c) { return fma(a, _mm512_rcp14_ps(b), c); }
  static T limit(T x, T max_abs) { return _mm512_range_ps(x, max_abs, 2); }
  static T min(T a, T b) { return _mm512_min_ps(a, b); }
  static T max(T a, T b) { return _mm512_max_ps(a, b); }
  static T max_keep_nan(T x, T b) { return _mm512_max_ps(b, x); }
  static T min_keep_nan(T x, T b) { return _mm512_min_ps(b, x); }
  static T keep_nan(T y, T x) { return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x); }
  static T scale_by_power(T p, T shifted) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(shifted), 23)));
  }
  static T times_power(T x, T n) { return _mm512_scalef_ps(x, n); }  // n infinite: 0 or infinity whatever x is
  static T linear_power(I steps) { return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(set(1.0f)), steps)); }
  static T linear_power_minus(I steps) { return _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_castps_si512(set(1.0f)), steps)); }
  static float total(T x) {
    const __m256 low = _mm512_castps512_ps256(x), high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
    const __m256 sums = _mm256_add_ps(low, high);
    const __m128 halves = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
    const __m128 pairs = _mm_add_ps(halves, _mm_movehl_ps(halves, halves));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
  }
  static I to_int(T x) { return _mm512_cvtps_epi32(x); }
};

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
