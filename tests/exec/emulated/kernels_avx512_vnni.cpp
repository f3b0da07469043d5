#include "tests/exec/emulated/avx512.h"

#define CYTODET_EMULATE_AVX512
#define __AVX512VNNI__ 1
#define CYTODET_TARGET emulated_avx512_vnni
#include "exec/kernels/kernel_set-inl.h"

namespace cytodet::exec {

const KernelSet& emulated_avx512_vnni_kernels() {
  static constexpr KernelSet set = emulated_avx512_vnni::kernel_set("avx512_vnni");
  return set;
}

}  // namespace cytodet::exec
