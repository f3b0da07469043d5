// AVX-512 with VNNI.
#define CYTODET_TARGET avx512_vnni
#include "exec/kernels/kernel_set-inl.h"

namespace cytodet::exec {

const KernelSet& avx512_vnni_kernels() {
  static constexpr KernelSet set = avx512_vnni::kernel_set("avx512_vnni");
  return set;
}

}  // namespace cytodet::exec
