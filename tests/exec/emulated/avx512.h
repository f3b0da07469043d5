// AVX-512 in software, so that its kernels are tested on any machine: SIMDe, and what it lacks.
#pragma once

#include <immintrin.h>  // before its names become others

#define CYTODET_EMULATED
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/simde-f16.h>
#include <simde/x86/avx512.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/dtype.h"

inline simde__m512 emulated_cvtepi32_ps(simde__m512i x) {
  int in[16];
  float out[16];
  std::memcpy(in, &x, 64);
  for (int i = 0; i < 16; ++i) out[i] = static_cast<float>(in[i]);
  simde__m512 y;
  std::memcpy(&y, out, 64);
  return y;
}
inline simde__m512i emulated_cvtps_epi32(simde__m512 x) {
  float in[16];
  int out[16];
  std::memcpy(in, &x, 64);
  for (int i = 0; i < 16; ++i)
    out[i] = in[i] >= -2147483648.0f && in[i] < 2147483648.0f ? static_cast<int>(std::nearbyint(in[i])) : INT32_MIN;
  simde__m512i y;
  std::memcpy(&y, out, 64);
  return y;
}
inline __m128i emulated_cvtusepi32_epi8(simde__m512i x) {
  unsigned in[16];
  unsigned char out[16];
  std::memcpy(in, &x, 64);
  for (int i = 0; i < 16; ++i) out[i] = static_cast<unsigned char>(in[i] > 255 ? 255 : in[i]);
  __m128i y;
  std::memcpy(&y, out, 16);
  return y;
}
inline simde__m512 emulated_rcp14_ps(simde__m512 x) {
  float v[16];
  std::memcpy(v, &x, 64);
  for (float& f : v) f = (1 + 0x1p-15f) / f;  // as inexact as the instruction may be
  std::memcpy(&x, v, 64);
  return x;
}
inline float of_bf16(uint16_t x) {
  const uint32_t bits = static_cast<uint32_t>(x) << 16;
  float y;
  std::memcpy(&y, &bits, 4);
  return y;
}
inline simde__m512 emulated_dpbf16_ps(simde__m512 sum, simde__m512i a, simde__m512i b) {
  float sums[16];
  uint16_t x[32], y[32];
  std::memcpy(sums, &sum, 64);
  std::memcpy(x, &a, 64);
  std::memcpy(y, &b, 64);
  for (int i = 0; i < 32; ++i) sums[i / 2] += of_bf16(x[i]) * of_bf16(y[i]);
  std::memcpy(&sum, sums, 64);
  return sum;
}
inline simde__m512i emulated_cvtne2ps_pbh(simde__m512 high, simde__m512 low) {
  float in[32];
  uint16_t out[32];
  std::memcpy(in, &low, 64);
  std::memcpy(in + 16, &high, 64);
  for (int i = 0; i < 32; ++i) out[i] = cytodet::core::BFloat16(in[i]).bits;
  simde__m512i y;
  std::memcpy(&y, out, 64);
  return y;
}
inline simde__m256i emulated_cvtps_ph(simde__m512 x) {
  float in[16];
  simde_float16 out[16];
  std::memcpy(in, &x, 64);
  for (int i = 0; i < 16; ++i) out[i] = simde_float16_from_float32(in[i]);
  simde__m256i y;
  std::memcpy(&y, out, 32);
  return y;
}
inline simde__m512 emulated_cvtph_ps(simde__m256i x) {
  simde_float16 in[16];
  float out[16];
  std::memcpy(in, &x, 32);
  for (int i = 0; i < 16; ++i) out[i] = simde_float16_to_float32(in[i]);
  simde__m512 y;
  std::memcpy(&y, out, 64);
  return y;
}
inline simde__m512i emulated_cvtepu8_epi32(__m128i x) {
  uint8_t in[16];
  uint32_t out[16];
  std::memcpy(in, &x, 16);
  for (int i = 0; i < 16; ++i) out[i] = in[i];
  simde__m512i y;
  std::memcpy(&y, out, 64);
  return y;
}
inline simde__m512i emulated_cvtepu16_epi32(simde__m256i x) {
  uint16_t in[16];
  uint32_t out[16];
  std::memcpy(in, &x, 32);
  for (int i = 0; i < 16; ++i) out[i] = in[i];
  simde__m512i y;
  std::memcpy(&y, out, 64);
  return y;
}
// With 2 as `how`: the smaller in magnitude, with the sign of x.
inline simde__m512 emulated_range_ps(simde__m512 x, simde__m512 y, int how) {
  float a[16], b[16];
  std::memcpy(a, &x, 64);
  std::memcpy(b, &y, 64);
  if (how != 2) std::abort();
  for (int i = 0; i < 16; ++i) a[i] = std::copysign(std::fmin(std::fabs(a[i]), std::fabs(b[i])), a[i]);
  std::memcpy(&x, a, 64);
  return x;
}
// x * 2^floor(n). With an infinite n it is 0 or infinite also where x is no number, which SIMDe's is not.
inline simde__m512 emulated_scalef_ps(simde__m512 x, simde__m512 n) {
  float a[16], b[16];
  std::memcpy(a, &x, 64);
  std::memcpy(b, &n, 64);
  for (int i = 0; i < 16; ++i) {
    const float sign = std::isnan(a[i]) ? 1.0f : std::copysign(1.0f, a[i]);
    if (std::isinf(b[i]))
      a[i] = b[i] < 0 ? 0.0f * sign : b[i] * sign;
    else
      a[i] = std::isnan(b[i]) ? b[i] : std::ldexp(a[i], static_cast<int>(std::fmax(-1000, std::fmin(1000, std::floor(b[i])))));
  }
  std::memcpy(&x, a, 64);
  return x;
}
inline simde__m512 emulated_maskz_loadu_ps(unsigned mask, const float* p) {
  float out[16] = {};
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) out[i] = p[i];
  simde__m512 y;
  std::memcpy(&y, out, 64);
  return y;
}
inline void emulated_mask_storeu_ps(float* p, unsigned mask, simde__m512 x) {
  float in[16];
  std::memcpy(in, &x, 64);
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) p[i] = in[i];
}
#define _mm512_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#undef _mm512_range_ps
#define _mm512_range_ps emulated_range_ps
#undef _mm512_scalef_ps
#define _mm512_scalef_ps emulated_scalef_ps
#define _mm512_maskz_loadu_ps emulated_maskz_loadu_ps
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
#define _mm512_cvtps_ph(x, rounding) emulated_cvtps_ph(x)
#define _mm512_cvtph_ps emulated_cvtph_ps
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_cvtusepi32_epi8 emulated_cvtusepi32_epi8
#define _mm512_rcp14_ps emulated_rcp14_ps
#define __m512bh simde__m512i
#define _mm512_dpbf16_ps emulated_dpbf16_ps
#define _mm512_cvtne2ps_pbh emulated_cvtne2ps_pbh
#undef _mm512_madd_epi16  // SIMDe 0.7.4 gives the name to a macro of four arguments
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)
