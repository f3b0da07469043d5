// The table of a target that has all kernels of another one and products of bf16. It is put together by code that every CPU runs:
// a target's own sources are compiled for its instructions, which a CPU that only looks at the table may lack.
#pragma once

#include "exec/kernels/kernels.h"

namespace cytodet::exec {

// `base` under another name, with the functions of `bf16`, which has only those that deal with bf16.
KernelSet with_bf16(const char* name, const KernelSet& base, const KernelSet& bf16);

const KernelSet& avx512_bf16_part();

}  // namespace cytodet::exec
