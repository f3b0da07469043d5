// What deals with bf16 in a target that has all other kernels from another one (target_parts.h).
#pragma once

#include "exec/kernels/convert_bf16-inl.h"
#include "exec/kernels/dwconv_bf16-inl.h"
#include "exec/kernels/gemm_bf16-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// `Base` gives the other target's table, whose depthwise kernels take all other types.
template <const KernelSet& (*Base)(), class Set = V>
constexpr KernelSet bf16_kernels() {
  KernelSet set{};
  set.gemm_bf16 = gemm_bf16<Set>;
  set.pack_bf16 = pack_bf16<Set>;
  set.repack_bf16 = repack_bf16<Set>;
  set.f32_to_bf16 = f32_to_bf16<Set>;
  set.bf16_to_f32 = bf16_to_f32<Set>;
  set.depthwise_row = [](const DepthwiseRow& job) {
    job.storage == StorageType::bf16 ? depthwise_results<Bf16Results<Set>>(job) : Base().depthwise_row(job);
  };
  set.depthwise_packed4 = [](const DepthwisePacked4& job) {
    job.storage == StorageType::bf16 ? depthwise_packed4_as<Set, StorageType::bf16>(job) : Base().depthwise_packed4(job);
  };
  return set;
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
