#include <immintrin.h>

#include <cstdint>

#include "exec/kernels/in_place.h"

namespace cytodet {
namespace {
struct V {
  using T = __m256;
  static constexpr int width = 8;
  static constexpr bool bf16 = false;
  static constexpr int code_rows = 6;
  static constexpr int tile_rows = 6;
  using I = __m256i;
  static I izero() { return _mm256_setzero_si256(); }
  static I iload(const void* p) { return _mm256_loadu_si256(static_cast<const I*>(p)); }
  static I four_bytes(const void* p) { return _mm256_castps_si256(_mm256_broadcast_ss(static_cast<const float*>(p))); }
  static T to_float(I x) { return _mm256_cvtepi32_ps(x); }
  static T round(T x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // Codes as bytes that count from `lowest`; not a number becomes the lowest.
  static void store_bytes(uint8_t* p, T x, T y, float lowest) {
    const I pairs = _mm256_packs_epi32(_mm256_cvtps_epi32(x), _mm256_cvtps_epi32(y));
    const I codes = _mm256_subs_epi16(pairs, _mm256_set1_epi16(static_cast<int16_t>(lowest)));
    const I order = _mm256_set_epi32(0, 0, 0, 0, 5, 1, 4, 0);
    const I bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(codes, codes), order);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(bytes));
  }
  // store_codes: `vectors` of numbers as codes, at least `lowest`; not a number becomes the lowest. Bytes are counted from it.
  static void store_bytes(uint8_t* p, const T (&x)[4], float lowest) {
    const I from = _mm256_set1_epi16(static_cast<int16_t>(lowest)), order = _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0);
    const auto pair = [&](T a, T b) {
      return _mm256_subs_epi16(_mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b)), from);
    };
    const I codes = _mm256_packus_epi16(pair(x[0], x[1]), pair(x[2], x[3]));
    _mm256_storeu_si256(reinterpret_cast<I*>(p), _mm256_permutevar8x32_epi32(codes, order));
  }
#ifdef __AVXVNNI__
  using Code = uint8_t;
  static constexpr int group = 4, blocks = 1, vectors = 4;
  static I dot(I sum, I a, I b) {
    CYTODET_ADD_PRODUCTS("%{vex%} vpdpbusd", _mm256_dpbusd_avx_epi32, sum, a, b);
    return sum;
  }
  static void store_codes(uint8_t* p, const T (&x)[4], float lowest) { store_bytes(p, x, lowest); }
#else
  using Code = int16_t;
  static constexpr int group = 2, blocks = 1, vectors = 2;
  static I dot(I sum, I a, I b) {
    const I products = _mm256_madd_epi16(a, b);
    CYTODET_ADD(_mm256_add_epi32, sum, products);
    return sum;
  }
  static void store_codes(int16_t* p, const T (&x)[2], float lowest) {
    const I codes = _mm256_permute4x64_epi64(_mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1])), 0xd8);
    _mm256_storeu_si256(reinterpret_cast<I*>(p), _mm256_max_epi16(codes, _mm256_set1_epi16(static_cast<int16_t>(lowest))));
  }
  struct Narrow {
    using Code = uint8_t;
    static constexpr int group = 4, blocks = 2, vectors = 4;
    static I products(I a, I b) { return _mm256_maddubs_epi16(a, b); }
    static I add_products(I x, I y) { return _mm256_add_epi16(x, y); }
    static I add_sums(I sum, I products) { return dot(sum, products, _mm256_set1_epi16(1)); }
    static void store_codes(uint8_t* p, const T (&x)[4], float lowest) { store_bytes(p, x, lowest); }
  };
#endif
  static T zero() { return _mm256_setzero_ps(); }
  static T set(float x) { return _mm256_set1_ps(x); }
  static T load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, T x) { _mm256_storeu_ps(p, x); }
  static T add(T a, T b) { return _mm256_add_ps(a, b); }
  static T sub(T a, T b) { return _mm256_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm256_mul_ps(a, b); }
  static T div(T a, T b) { return _mm256_div_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm256_fmadd_ps(a, b, c); }
  static T quotient(T a, T b) { return div(a, b); }
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
  static I to_int(T x) { return _mm256_cvtps_epi32(x); }
};
}  // namespace
}  // namespace cytodet

#include "exec/kernels/code_impl.h"

namespace cytodet {
#ifdef __AVXVNNI__
const KernelSet kAvx2VnniKernels = make_set("avx2_vnni");
#else
const KernelSet kAvx2Kernels = make_set("avx2");
#endif
}  // namespace cytodet
