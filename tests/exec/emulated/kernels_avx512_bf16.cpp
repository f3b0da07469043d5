#include "tests/exec/emulated/avx512.h"

#define kAvx512Bf16Kernels kEmulatedAvx512Bf16
#define __AVX512VNNI__ 1
#define __AVX512BF16__ 1
#include "exec/kernels/f32_avx512.cpp"  // NOLINT
