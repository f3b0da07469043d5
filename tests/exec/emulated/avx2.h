// AVX2 with AVX-VNNI in software, so that its kernels are tested on any machine: SIMDe, and what it lacks.
#pragma once

#include <immintrin.h>  // before its names become others

#define CYTODET_EMULATED
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#include <cstring>

inline simde__m256i emulated_dpbusd(simde__m256i sum, simde__m256i a, simde__m256i b) {
  int sums[8];
  unsigned char x[32];
  signed char y[32];
  std::memcpy(sums, &sum, 32);
  std::memcpy(x, &a, 32);
  std::memcpy(y, &b, 32);
  for (int i = 0; i < 32; ++i) sums[i / 4] += x[i] * y[i];
  std::memcpy(&sum, sums, 32);
  return sum;
}
#define _mm256_dpbusd_avx_epi32 emulated_dpbusd
