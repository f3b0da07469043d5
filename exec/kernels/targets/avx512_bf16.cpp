// AVX-512 with VNNI and BF16.
#define CYTODET_TARGET avx512_bf16
#include "exec/kernels/bf16_set-inl.h"

namespace cytodet::exec {

const KernelSet& avx512_bf16_kernels() {
  static const KernelSet set = avx512_bf16::with_bf16<avx512_vnni_kernels>("avx512_bf16");
  return set;
}

}  // namespace cytodet::exec
