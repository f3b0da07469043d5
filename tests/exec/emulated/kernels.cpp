#include "tests/exec/emulated/avx512.h"

#define kAvx512Kernels kEmulatedAvx512
#define kAvx512VnniKernels kEmulatedAvx512Vnni
#ifdef EMULATE_VNNI
#define __AVX512VNNI__ 1
#endif
#include "exec/kernels/f32_avx512.cpp"  // NOLINT
