#include "exec/kernels/kernels.h"

#include <atomic>
#include <span>

#include "exec/kernels/target_parts.h"

namespace cytodet::exec {
namespace {

std::atomic<const KernelSet*> chosen = nullptr;

}  // namespace

KernelSet with_part(const char* name, const KernelSet& base, const KernelSet& part) {
  KernelSet set = base;
  set.name = name;
  if (part.q8.gemm) {
    set.q8 = part.q8;
    set.q8_16bit_safe = part.q8_16bit_safe;
  }
  const auto take = [&](auto... kernel) { ((set.*kernel = part.*kernel ? part.*kernel : set.*kernel), ...); };
  using K = KernelSet;
  take(&K::quantize, &K::depthwise_packed4, &K::grouped_row_q8, &K::pack4_f32, &K::pack4_q8, &K::pack4_fill, &K::f32_to_f16,
       &K::f16_to_f32);
  take(&K::gemm_bf16, &K::pack_bf16, &K::repack_bf16, &K::f32_to_bf16, &K::bf16_to_f32, &K::depthwise_row);
  return set;
}

#ifdef CYTODET_HAS_AVX2_VNNI
const KernelSet& avx2_vnni_kernels() {
  static const KernelSet set = with_part("avx2_vnni", avx2_kernels(), avx2_vnni_part());
  return set;
}
#endif
#ifdef CYTODET_HAS_AVX512_VNNI
const KernelSet& avx512_vnni_kernels() {
  static const KernelSet set = with_part("avx512_vnni", avx512_kernels(), avx512_vnni_part());
  return set;
}
#endif
#ifdef CYTODET_HAS_AVX512_BF16
const KernelSet& avx512_bf16_kernels() {
  static const KernelSet set = with_part("avx512_bf16", avx512_vnni_kernels(), avx512_bf16_part());
  return set;
}
#endif

namespace {

using Target = core::IsaEntry<const KernelSet& (*)()>;
// What is built: CYTODET_KERNELS of CMake.
constexpr Target kTargets[] = {
    {Isa::baseline, sse2_kernels},
#ifdef CYTODET_HAS_AVX2
    {Isa::avx2, avx2_kernels},
#endif
#ifdef CYTODET_HAS_AVX2_VNNI
    {Isa::avx2_vnni, avx2_vnni_kernels},
#endif
#ifdef CYTODET_HAS_AVX512
    {Isa::avx512, avx512_kernels},
#endif
#ifdef CYTODET_HAS_AVX512_VNNI
    {Isa::avx512_vnni, avx512_vnni_kernels},
#endif
#ifdef CYTODET_HAS_AVX512_BF16
    {Isa::avx512_bf16, avx512_bf16_kernels},
#endif
};
const Target& target_of(Isa isa) { return core::select_for_isa(std::span<const Target>(kTargets), isa); }

}  // namespace

const KernelSet& kernels(Isa isa) { return target_of(isa).value(); }

bool has_kernels_of(Isa isa) { return target_of(isa).isa == isa; }

const KernelSet& kernels() {
  const KernelSet* set = chosen.load(std::memory_order_acquire);
  return set ? *set : kernels(isa());
}

void use_kernels(const KernelSet& set) { chosen.store(&set, std::memory_order_release); }

}  // namespace cytodet::exec
