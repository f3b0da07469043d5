// The AVX2 kernels once more, compiled for AVX-VNNI: one instruction for four products of codes and their sum.
#include "exec/kernels/f32_avx2.cpp"  // NOLINT
