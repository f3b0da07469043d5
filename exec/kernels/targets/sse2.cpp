// The baseline of x86-64.
#define CYTODET_TARGET sse2
#include "exec/kernels/kernel_set-inl.h"

namespace cytodet::exec {

const KernelSet& sse2_kernels() {
  static constexpr KernelSet set = sse2::kernel_set("sse2");
  return set;
}

}  // namespace cytodet::exec
