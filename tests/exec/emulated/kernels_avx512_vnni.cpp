#include "tests/exec/emulated/avx512.h"

#define kAvx512VnniKernels kEmulatedAvx512Vnni
#define __AVX512VNNI__ 1
#include "exec/kernels/f32_avx512.cpp"  // NOLINT
