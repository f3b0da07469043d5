// AVX-512 with VNNI and BF16.
#define CYTODET_TARGET avx512_bf16
#include "exec/kernels/bf16_set-inl.h"
#include "exec/kernels/target_parts.h"

namespace cytodet::exec {

const KernelSet& avx512_bf16_part() {
  static constexpr KernelSet part = avx512_bf16::bf16_kernels<avx512_vnni_kernels>();
  return part;
}

}  // namespace cytodet::exec
