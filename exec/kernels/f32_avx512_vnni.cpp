// The AVX-512 kernels once more, compiled for VNNI: one instruction for four products of codes and their sum.
#include "exec/kernels/f32_avx512.cpp"  // NOLINT
