// Tables of targets that are another one and some faster kernels: VNNI's products of bytes, products of bf16. Only what differs
// is compiled for them. The tables are put together by code that every CPU runs: a target's own sources are compiled for its
// instructions, which a CPU that only looks at the table may lack.
#pragma once

#include "exec/kernels/kernels.h"

namespace cytodet::exec {

// `base` under another name, with those functions that `part` has.
KernelSet with_part(const char* name, const KernelSet& base, const KernelSet& part);

const KernelSet& avx2_vnni_part();
const KernelSet& avx512_vnni_part();
const KernelSet& avx512_bf16_part();

}  // namespace cytodet::exec
