#include "exec/kernels/kernels.h"

#include <atomic>

namespace cytodet::exec {
namespace {

std::atomic<const KernelSet*> chosen = nullptr;

}  // namespace

const KernelSet& kernels(Isa isa) {
  return core::select_for_isa<const KernelSet& (*)()>(
      {
          {Isa::baseline, sse2_kernels},
          {Isa::avx2, avx2_kernels},
          {Isa::avx2_vnni, avx2_vnni_kernels},
          {Isa::avx512, avx512_kernels},
          {Isa::avx512_vnni, avx512_vnni_kernels},
          {Isa::avx512_bf16, avx512_bf16_kernels},
      },
      isa)();
}

const KernelSet& kernels() {
  const KernelSet* set = chosen.load(std::memory_order_acquire);
  return set ? *set : kernels(isa());
}

void use_kernels(const KernelSet& set) { chosen.store(&set, std::memory_order_release); }

}  // namespace cytodet::exec
