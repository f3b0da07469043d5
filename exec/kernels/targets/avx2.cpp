// AVX2 with FMA and F16C.
#define CYTODET_TARGET avx2
#include "exec/kernels/kernel_set-inl.h"

namespace cytodet::exec {

const KernelSet& avx2_kernels() {
  static constexpr KernelSet set = avx2::kernel_set("avx2");
  return set;
}

}  // namespace cytodet::exec
