// V for AVX2 with FMA and F16C: vectors of 8 floats; with AVX-VNNI also products of bytes summed in 32 bits. vec.h says what each
// member does.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "exec/kernels/inline_asm.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

struct V {
  using T = __m256;
  static constexpr int width = 8;
  static constexpr int q8_tile_rows = 6;
  static constexpr int f32_tile_rows = 6;
  static constexpr int segment_tile_rows = 6;
  using I = __m256i;
  static I izero() { return _mm256_setzero_si256(); }
  static I iload(const void* p) { return _mm256_loadu_si256(static_cast<const I*>(p)); }
  static void istore(void* p, I x) { _mm256_storeu_si256(static_cast<I*>(p), x); }
  static I four_bytes(const void* p) { return _mm256_castps_si256(_mm256_broadcast_ss(static_cast<const float*>(p))); }
  static T load_bytes(const uint8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  static T to_float(I x) { return _mm256_cvtepi32_ps(x); }
  static T round(T x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static void store_bytes(uint8_t* p, T x, T y, float qmin) {
    const I pairs = _mm256_packs_epi32(_mm256_cvtps_epi32(x), _mm256_cvtps_epi32(y));
    const I q8 = _mm256_subs_epi16(pairs, _mm256_set1_epi16(static_cast<int16_t>(qmin)));
    const I order = _mm256_set_epi32(0, 0, 0, 0, 5, 1, 4, 0);
    const I bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(q8, q8), order);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(bytes));
  }
  static void store_bytes(uint8_t* p, const T (&x)[4], float qmin) {
    const I from = _mm256_set1_epi16(static_cast<int16_t>(qmin)), order = _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0);
    const auto pair = [&](T a, T b) {
      return _mm256_subs_epi16(_mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b)), from);
    };
    const I q8 = _mm256_packus_epi16(pair(x[0], x[1]), pair(x[2], x[3]));
    _mm256_storeu_si256(reinterpret_cast<I*>(p), _mm256_permutevar8x32_epi32(q8, order));
  }
#ifdef __AVXVNNI__
  using Q8 = uint8_t;
  static constexpr int group = 4, blocks = 1, vectors = 4;
  static I dot(I sum, I a, I b) {
    CYTODET_ADD_PRODUCTS("%{vex%} vpdpbusd", _mm256_dpbusd_avx_epi32, sum, a, b);
    return sum;
  }
  static void store_q8(uint8_t* p, const T (&x)[4], float qmin) { store_bytes(p, x, qmin); }

  static I repeat_bytes(const uint8_t* p) {
    return _mm256_broadcastq_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static I spread_bytes(I x, I lanes) { return _mm256_permutevar8x32_epi32(x, lanes); }

  static constexpr bool packed4 = true;
  static constexpr int packed4_pixels = 4;
  struct ByteLane {
    ByteLane(float qmin, int byte)
        : from(_mm256_set1_epi32(static_cast<int>(qmin))), mask(_mm256_set1_epi32(static_cast<int>(0xffu << 8 * byte))) {}
    I from, mask;
  };
  static void merge_q8(uint32_t* p, T x, const ByteLane& byte) {
    merge_bytes(p, _mm256_sub_epi32(_mm256_cvtps_epi32(x), byte.from), byte);
  }
  static I bits(T x) { return _mm256_castps_si256(x); }
  static void merge_bytes(uint32_t* p, I x, const ByteLane& byte) {
    const I everywhere = _mm256_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0, 0x0c0c0c0c, 0x08080808, 0x04040404, 0);
    istore(p, _mm256_blendv_epi8(iload(p), _mm256_shuffle_epi8(x, everywhere), byte.mask));
  }
  static I shift_bytes(I low, I below, int bytes) {
    return _mm256_or_si256(_mm256_sllv_epi32(low, _mm256_set1_epi32(8 * bytes)),
                           _mm256_srlv_epi32(below, _mm256_set1_epi32(32 - 8 * bytes)));
  }
  static void store_f16(uint16_t* p, T x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static T load_f16(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static void store_q8_bytes(uint8_t* p, T x, float qmin) {
    const I q8 = _mm256_sub_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(static_cast<int>(qmin)));
    const __m128i pairs = _mm_packs_epi32(_mm256_castsi256_si128(q8), _mm256_extracti128_si256(q8, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(pairs, pairs));
  }
#else
  static constexpr bool packed4 = false;
  using Q8 = int16_t;
  static constexpr int group = 2, blocks = 1, vectors = 2;
  static I dot(I sum, I a, I b) {
    const I products = _mm256_madd_epi16(a, b);
    CYTODET_ADD(_mm256_add_epi32, sum, products);
    return sum;
  }
  static void store_q8(int16_t* p, const T (&x)[2], float qmin) {
    const I q8 = _mm256_permute4x64_epi64(_mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1])), 0xd8);
    _mm256_storeu_si256(reinterpret_cast<I*>(p), _mm256_max_epi16(q8, _mm256_set1_epi16(static_cast<int16_t>(qmin))));
  }
  struct Safe16Bit {
    using Q8 = uint8_t;
    static constexpr int group = 4, blocks = 2, vectors = 4;
    static I products(I a, I b) { return _mm256_maddubs_epi16(a, b); }
    static I add_products(I x, I y) { return _mm256_add_epi16(x, y); }
    static I add_sums(I sum, I products) { return dot(sum, products, _mm256_set1_epi16(1)); }
    static void store_q8(uint8_t* p, const T (&x)[4], float qmin) { store_bytes(p, x, qmin); }
  };
#endif
  static T zero() { return _mm256_setzero_ps(); }
  static T set(float x) { return _mm256_set1_ps(x); }
  static T load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, T x) { _mm256_storeu_ps(p, x); }
  static T load_some(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static void store_some(float* p, T x, int n) { _mm256_maskstore_ps(p, first(n), x); }
  static I first(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0)); }
  static T spread(T x, I lanes) { return _mm256_permutevar8x32_ps(x, lanes); }
  static T add(T a, T b) { return _mm256_add_ps(a, b); }
  static T sub(T a, T b) { return _mm256_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm256_mul_ps(a, b); }
  static T div(T a, T b) { return _mm256_div_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm256_fmadd_ps(a, b, c); }
  static T fnma(T a, T b, T c) { return _mm256_fnmadd_ps(a, b, c); }
  static T approximate_quotient(T a, T b) { return div(a, b); }
  static T approximate_quotient_plus(T a, T b, T c) { return add(div(a, b), c); }
  static T limit(T x, T max_abs) { return _mm256_max_ps(_mm256_min_ps(x, max_abs), _mm256_sub_ps(_mm256_setzero_ps(), max_abs)); }
  static T min(T a, T b) { return _mm256_min_ps(a, b); }
  static T max(T a, T b) { return _mm256_max_ps(a, b); }
  static T max_keep_nan(T x, T b) { return _mm256_max_ps(b, x); }
  static T min_keep_nan(T x, T b) { return _mm256_min_ps(b, x); }
  static T keep_nan(T y, T x) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q)); }
  static T scale_by_power(T p, T shifted) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(shifted), 23)));
  }
  static T linear_power(I steps) { return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(set(1.0f)), steps)); }
  static T linear_power_minus(I steps) { return _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_castps_si256(set(1.0f)), steps)); }
  static float total(T x) {
    const __m128 halves = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 pairs = _mm_add_ps(halves, _mm_movehl_ps(halves, halves));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
  }
  static I to_int(T x) { return _mm256_cvtps_epi32(x); }
};

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
