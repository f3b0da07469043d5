#define EMULATE_VNNI
#include "tests/exec/emulated/kernels.cpp"  // NOLINT
