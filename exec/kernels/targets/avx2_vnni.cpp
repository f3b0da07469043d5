// AVX2 with AVX-VNNI.
#define CYTODET_TARGET avx2_vnni
#include "exec/kernels/q8_set-inl.h"
#include "exec/kernels/target_parts.h"

namespace cytodet::exec {

const KernelSet& avx2_vnni_part() {
  static constexpr KernelSet part = avx2_vnni::q8_set();
  return part;
}

}  // namespace cytodet::exec
