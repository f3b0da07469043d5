#include <immintrin.h>

#include <cstdint>

namespace cytodet {
namespace {
struct V {
  using T = __m512;
  static constexpr int width = 16;
  static constexpr bool halves = true;
  static constexpr int code_rows = 12;
  static constexpr int tile_rows = 12;
  using I = __m512i;
  static I izero() { return _mm512_setzero_si512(); }
  static I iload(const int16_t* p) { return _mm512_loadu_si512(p); }
  static I pair(const int16_t* p) { return _mm512_castps_si512(_mm512_set1_ps(*reinterpret_cast<const float*>(p))); }
#ifdef __AVX512VNNI__
  static I dot(I sum, I a, I b) { return _mm512_dpwssd_epi32(sum, a, b); }
#else
  static I dot(I sum, I a, I b) { return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)); }
#endif
  static T to_float(I x) { return _mm512_cvtepi32_ps(x); }
  static T round(T x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // Two vectors of numbers as 16-bit codes, at least `lowest`; not a number becomes the lowest.
  static void store_codes(int16_t* p, T x, T y, float lowest) {
    const I order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
    const I codes = _mm512_permutexvar_epi64(order, _mm512_packs_epi32(_mm512_cvtps_epi32(x), _mm512_cvtps_epi32(y)));
    _mm512_storeu_si512(p, _mm512_max_epi16(codes, _mm512_set1_epi16(static_cast<int16_t>(lowest))));
  }
  static void store_half(uint16_t* p, T x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static T load_half(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
  static T zero() { return _mm512_setzero_ps(); }
  static T set(float x) { return _mm512_set1_ps(x); }
  static T load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, T x) { _mm512_storeu_ps(p, x); }
  static T add(T a, T b) { return _mm512_add_ps(a, b); }
  static T sub(T a, T b) { return _mm512_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm512_mul_ps(a, b); }
  static T div(T a, T b) { return _mm512_div_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm512_fmadd_ps(a, b, c); }
  static T reciprocal_estimate(T x) { return _mm512_rcp14_ps(x); }
  static T min(T a, T b) { return _mm512_min_ps(a, b); }
  static T max(T a, T b) { return _mm512_max_ps(a, b); }
  static T max_keep_nan(T x, T b) { return _mm512_max_ps(b, x); }
  static T min_keep_nan(T x, T b) { return _mm512_min_ps(b, x); }
  static T keep_nan(T y, T x) { return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x); }
  static T scale_by_power(T p, T shifted) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(shifted), 23)));
  }
};
}  // namespace
}  // namespace cytodet

#include "exec/kernels/code_impl.h"

namespace cytodet {
#ifdef __AVX512VNNI__
const KernelSet kAvx512VnniKernels = make_set("avx512_vnni");
#else
const KernelSet kAvx512Kernels = make_set("avx512");
#endif
}  // namespace cytodet
