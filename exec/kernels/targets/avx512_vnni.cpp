// AVX-512 with VNNI.
#define CYTODET_TARGET avx512_vnni
#include "exec/kernels/q8_set-inl.h"
#include "exec/kernels/target_parts.h"

namespace cytodet::exec {

const KernelSet& avx512_vnni_part() {
  static constexpr KernelSet part = avx512_vnni::q8_set();
  return part;
}

}  // namespace cytodet::exec
