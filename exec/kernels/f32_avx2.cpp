#include <immintrin.h>

#include <cstdint>

#include "exec/kernels/in_place.h"

namespace cytodet::exec {
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

  static constexpr bool words = true;
  static constexpr int word_pixels = 4;  // that depthwise_words has in registers
  // Where codes go in words.
  struct WordByte {
    WordByte(float lowest, int byte)
        : from(_mm256_set1_epi32(static_cast<int>(lowest))), mask(_mm256_set1_epi32(static_cast<int>(0xffu << 8 * byte))) {}
    I from, mask;
  };
  // `byte` of the words at p becomes the code of x, at least the lowest, counted from it; or the lowest byte of x.
  static void merge_codes(uint32_t* p, T x, const WordByte& byte) {
    merge_bytes(p, _mm256_sub_epi32(_mm256_cvtps_epi32(x), byte.from), byte);
  }
  static I bits(T x) { return _mm256_castps_si256(x); }
  static void merge_bytes(uint32_t* p, I x, const WordByte& byte) {
    const I everywhere = _mm256_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0, 0x0c0c0c0c, 0x08080808, 0x04040404, 0);
    istore(p, _mm256_blendv_epi8(iload(p), _mm256_shuffle_epi8(x, everywhere), byte.mask));
  }
  // The words of a row that begins `bytes` later: `low` moved up, from `below` what falls out of its words.
  static I shift_bytes(I low, I below, int bytes) {
    return _mm256_or_si256(_mm256_sllv_epi32(low, _mm256_set1_epi32(8 * bytes)),
                           _mm256_srlv_epi32(below, _mm256_set1_epi32(32 - 8 * bytes)));
  }
  static void istore(void* p, I x) { _mm256_storeu_si256(static_cast<I*>(p), x); }
  static void store_halves(uint16_t* p, T x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static T load_halves(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static void store_byte_codes(uint8_t* p, T x, float lowest) {
    const I code = _mm256_sub_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(static_cast<int>(lowest)));
    const __m128i pairs = _mm_packs_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(pairs, pairs));
  }
#else
  static constexpr bool words = false;
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
  // The first n numbers at p, the others 0; 0 <= n <= width.
  static T load_some(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static void store_some(float* p, T x, int n) { _mm256_maskstore_ps(p, first(n), x); }
  static I first(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0)); }
  static T add(T a, T b) { return _mm256_add_ps(a, b); }
  static T sub(T a, T b) { return _mm256_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm256_mul_ps(a, b); }
  static T div(T a, T b) { return _mm256_div_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm256_fmadd_ps(a, b, c); }
  static T fnma(T a, T b, T c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a * b
  static T coarse_quotient(T a, T b) { return div(a, b); }
  static T coarse_quotient_plus(T a, T b, T c) { return add(div(a, b), c); }
  // x, of a magnitude of at most `most`.
  static T limit(T x, T most) { return _mm256_max_ps(_mm256_min_ps(x, most), _mm256_sub_ps(_mm256_setzero_ps(), most)); }
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
}  // namespace cytodet::exec

#include "exec/kernels/code_impl.h"

namespace cytodet::exec {
#ifdef __AVXVNNI__
const KernelSet kAvx2VnniKernels = make_set("avx2_vnni");
#else
const KernelSet kAvx2Kernels = make_set("avx2");
#endif
}  // namespace cytodet::exec
