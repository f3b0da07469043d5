#include "tests/exec/emulated/avx2.h"

#define CYTODET_EMULATE_AVX2
#define __AVXVNNI__ 1
#define CYTODET_TARGET emulated_avx2_vnni
#include "exec/kernels/kernel_set-inl.h"

namespace cytodet::exec {

const KernelSet& emulated_avx2_vnni_kernels() {
  static constexpr KernelSet set = emulated_avx2_vnni::kernel_set("avx2_vnni");
  return set;
}

}  // namespace cytodet::exec
