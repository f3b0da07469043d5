#include "tests/exec/emulated/avx2.h"

#define kAvx2VnniKernels kEmulatedAvx2Vnni
#define __AVXVNNI__ 1
#include "exec/kernels/f32_avx2.cpp"  // NOLINT
