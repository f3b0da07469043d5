#include "tests/exec/emulated/avx512.h"

#define kAvx512Kernels kEmulatedAvx512
#include "exec/kernels/f32_avx512.cpp"  // NOLINT
