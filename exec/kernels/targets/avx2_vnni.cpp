// AVX2 with AVX-VNNI.
#define CYTODET_TARGET avx2_vnni
#include "exec/kernels/kernel_set-inl.h"

namespace cytodet::exec {

const KernelSet& avx2_vnni_kernels() {
  static constexpr KernelSet set = avx2_vnni::kernel_set("avx2_vnni");
  return set;
}

}  // namespace cytodet::exec
