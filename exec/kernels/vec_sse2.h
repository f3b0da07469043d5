// V for SSE2: vectors of 4 floats. vec.h says what each member does.
#pragma once

#include <emmintrin.h>

#include <cstdint>

namespace cytodet::exec::CYTODET_TARGET {
namespace {

struct V {
  using T = __m128;
  static constexpr int width = 4;
  static constexpr bool packed4 = false;
  using Q8 = int16_t;
  static constexpr int group = 2, blocks = 1, vectors = 2;
  static constexpr int q8_tile_rows = 4;
  static constexpr int f32_tile_rows = 6;
  static constexpr int segment_tile_rows = 6;
  using I = __m128i;
  static I izero() { return _mm_setzero_si128(); }
  static I iload(const void* p) { return _mm_loadu_si128(static_cast<const I*>(p)); }
  static void istore(void* p, I x) { _mm_storeu_si128(static_cast<I*>(p), x); }
  static I four_bytes(const void* p) { return _mm_castps_si128(_mm_load1_ps(static_cast<const float*>(p))); }
  static I dot(I sum, I a, I b) { return _mm_add_epi32(sum, _mm_madd_epi16(a, b)); }
  static T load_bytes(const uint8_t* p) { return _mm_set_ps(p[3], p[2], p[1], p[0]); }
  static T to_float(I x) { return _mm_cvtepi32_ps(x); }
  static T round(T x) { return _mm_cvtepi32_ps(_mm_cvtps_epi32(x)); }  // of values that an int holds
  static void store_bytes(uint8_t* p, T x, T y, float qmin) {
    const I pairs = _mm_packs_epi32(_mm_cvtps_epi32(x), _mm_cvtps_epi32(y));
    const I q8 = _mm_subs_epi16(pairs, _mm_set1_epi16(static_cast<int16_t>(qmin)));
    _mm_storel_epi64(reinterpret_cast<I*>(p), _mm_packus_epi16(q8, q8));
  }
  static void store_q8(int16_t* p, const T (&x)[2], float qmin) {
    const I q8 = _mm_packs_epi32(_mm_cvtps_epi32(x[0]), _mm_cvtps_epi32(x[1]));
    _mm_storeu_si128(reinterpret_cast<I*>(p), _mm_max_epi16(q8, _mm_set1_epi16(static_cast<int16_t>(qmin))));
  }
  static T zero() { return _mm_setzero_ps(); }
  static T set(float x) { return _mm_set1_ps(x); }
  static T load(const float* p) { return _mm_loadu_ps(p); }
  static void store(float* p, T x) { _mm_storeu_ps(p, x); }
  static T load_some(const float* p, int n) {
    alignas(16) float some[width] = {};
    for (int i = 0; i < n; ++i) some[i] = p[i];
    return load(some);
  }
  static void store_some(float* p, T x, int n) {
    alignas(16) float whole[width];
    store(whole, x);
    for (int i = 0; i < n; ++i) p[i] = whole[i];
  }
  static T add(T a, T b) { return _mm_add_ps(a, b); }
  static T sub(T a, T b) { return _mm_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm_mul_ps(a, b); }
  static T div(T a, T b) { return _mm_div_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
  static T fnma(T a, T b, T c) { return sub(c, mul(a, b)); }
  static T approximate_quotient(T a, T b) { return div(a, b); }
  static T limit(T x, T max_abs) { return _mm_max_ps(_mm_min_ps(x, max_abs), _mm_sub_ps(_mm_setzero_ps(), max_abs)); }
  static T min(T a, T b) { return _mm_min_ps(a, b); }
  static T max(T a, T b) { return _mm_max_ps(a, b); }
  static T max_keep_nan(T x, T b) { return _mm_max_ps(b, x); }
  static T min_keep_nan(T x, T b) { return _mm_min_ps(b, x); }
  static T keep_nan(T y, T x) {
    T nan = _mm_cmpunord_ps(x, x);
    return _mm_or_ps(_mm_and_ps(nan, x), _mm_andnot_ps(nan, y));
  }
  static T scale_by_power(T p, T shifted) {
    return _mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(p), _mm_slli_epi32(_mm_castps_si128(shifted), 23)));
  }
  static T linear_power(I steps) { return _mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(set(1.0f)), steps)); }
  static T linear_power_minus(I steps) { return _mm_castsi128_ps(_mm_sub_epi32(_mm_castps_si128(set(1.0f)), steps)); }
  static float total(T x) {
    const T pairs = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
  }
  static I to_int(T x) { return _mm_cvtps_epi32(x); }
};

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
