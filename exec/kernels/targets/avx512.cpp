// AVX-512 F, BW, VL and DQ.
#define CYTODET_TARGET avx512
#include "exec/kernels/kernel_set-inl.h"

namespace cytodet::exec {

const KernelSet& avx512_kernels() {
  static constexpr KernelSet set = avx512::kernel_set("avx512");
  return set;
}

}  // namespace cytodet::exec
