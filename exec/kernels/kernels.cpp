#include "exec/kernels/kernels.h"

#include <atomic>

#include "exec/kernels/bf16_table.h"

namespace cytodet::exec {
namespace {

std::atomic<const KernelSet*> chosen = nullptr;

}  // namespace

KernelSet with_bf16(const char* name, const KernelSet& base, const KernelSet& bf16) {
  KernelSet set = base;
  set.name = name;
  set.gemm_bf16 = bf16.gemm_bf16;
  set.pack_bf16 = bf16.pack_bf16;
  set.repack_bf16 = bf16.repack_bf16;
  set.f32_to_bf16 = bf16.f32_to_bf16;
  set.bf16_to_f32 = bf16.bf16_to_f32;
  set.depthwise_row = bf16.depthwise_row;
  set.depthwise_packed4 = bf16.depthwise_packed4;
  return set;
}

const KernelSet& avx512_bf16_kernels() {
  static const KernelSet set = with_bf16("avx512_bf16", avx512_vnni_kernels(), avx512_bf16_part());
  return set;
}

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
