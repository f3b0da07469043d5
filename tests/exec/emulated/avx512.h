// AVX-512 in software, so that its kernels are tested on any machine: SIMDe, and what it lacks.
#pragma once

#include <immintrin.h>  // before its names become others

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>

#include <cmath>
#include <cstring>

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
inline simde__m512 emulated_rcp14_ps(simde__m512 x) {
  float v[16];
  std::memcpy(v, &x, 64);
  for (float& f : v) f = (1 + 0x1p-15f) / f;  // as inexact as the instruction may be
  std::memcpy(&x, v, 64);
  return x;
}
inline simde__m256i emulated_cvtps_ph(simde__m512 x) {
  float in[16];
  std::memcpy(in, &x, 64);
  simde__m128i halves[2];
  for (int i = 0; i < 2; ++i) {
    simde__m256 eight;
    std::memcpy(&eight, in + 8 * i, 32);
    halves[i] = simde_mm256_cvtps_ph(eight, SIMDE_MM_FROUND_TO_NEAREST_INT);
  }
  simde__m256i y;
  std::memcpy(&y, halves, 32);
  return y;
}
inline simde__m512 emulated_cvtph_ps(simde__m256i x) {
  simde__m128i halves[2];
  std::memcpy(halves, &x, 32);
  float out[16];
  for (int i = 0; i < 2; ++i) {
    const simde__m256 eight = simde_mm256_cvtph_ps(halves[i]);
    std::memcpy(out + 8 * i, &eight, 32);
  }
  simde__m512 y;
  std::memcpy(&y, out, 64);
  return y;
}
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_rcp14_ps emulated_rcp14_ps
#define _mm512_cvtps_ph(x, rounding) emulated_cvtps_ph(x)
#define _mm512_cvtph_ps emulated_cvtph_ps
#undef _mm512_madd_epi16  // SIMDe 0.7.4 gives the name to a macro of four arguments
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)
