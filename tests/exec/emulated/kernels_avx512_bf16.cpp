#include "tests/exec/emulated/avx512.h"

#define CYTODET_EMULATE_AVX512
#define __AVX512VNNI__ 1
#define __AVX512BF16__ 1
#define CYTODET_TARGET emulated_avx512_bf16
#include "exec/kernels/bf16_set-inl.h"
#include "exec/kernels/target_parts.h"

namespace cytodet::exec {

const KernelSet& emulated_avx512_vnni_kernels();

const KernelSet& emulated_avx512_bf16_kernels() {
  static constexpr KernelSet part = emulated_avx512_bf16::bf16_kernels<emulated_avx512_vnni_kernels>();
  static const KernelSet set = with_part("avx512_bf16", emulated_avx512_vnni_kernels(), part);
  return set;
}

}  // namespace cytodet::exec
