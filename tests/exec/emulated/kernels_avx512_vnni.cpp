#include "tests/exec/emulated/avx512.h"

#define CYTODET_EMULATE_AVX512
#define __AVX512VNNI__ 1
#define CYTODET_TARGET emulated_avx512_vnni
#include "exec/kernels/q8_set-inl.h"
#include "exec/kernels/target_parts.h"

namespace cytodet::exec {

const KernelSet& emulated_avx512_kernels();

const KernelSet& emulated_avx512_vnni_kernels() {
  static constexpr KernelSet part = emulated_avx512_vnni::q8_set();
  static const KernelSet set = with_part("avx512_vnni", emulated_avx512_kernels(), part);
  return set;
}

}  // namespace cytodet::exec
