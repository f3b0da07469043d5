// The AVX-512 kernels once more, compiled for VNNI and BF16: also one instruction for a pair of bfloat16 products and their sum.
#include "exec/kernels/f32_avx512.cpp"  // NOLINT
