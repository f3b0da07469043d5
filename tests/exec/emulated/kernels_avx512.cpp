#include "tests/exec/emulated/avx512.h"

#define CYTODET_EMULATE_AVX512
#define CYTODET_TARGET emulated_avx512
#include "exec/kernels/kernel_set-inl.h"

namespace cytodet::exec {

const KernelSet& emulated_avx512_kernels() {
  static constexpr KernelSet set = emulated_avx512::kernel_set("avx512");
  return set;
}

}  // namespace cytodet::exec
