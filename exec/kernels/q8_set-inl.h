// What quantizes values and multiplies bytes: all that a target with VNNI has anew, where other kernels come from the target
// without (target_parts.h).
#pragma once

#include "exec/kernels/convert-inl.h"
#include "exec/kernels/dwconv_q8-inl.h"
#include "exec/kernels/gemm_q8_segments-inl.h"
#include "exec/kernels/grouped-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

template <class Layout>
constexpr Q8Kernels q8_kernels() {
  Q8Kernels q8{Layout::group, gemm_q8<Layout>, gemm_q8_segments<Layout>, pack_q8<Layout>, nullptr, repack_q8<Layout>};
  if constexpr (V::packed4) q8.pack_q8_f16 = pack_q8_f16<Layout>;
  return q8;
}

// A table of these functions alone.
template <class Set = V>
constexpr KernelSet q8_set() {
  KernelSet set{};
  set.q8 = q8_kernels<Set>();
  if constexpr (requires { typename Set::Safe16Bit; }) set.q8_16bit_safe = q8_kernels<typename Set::Safe16Bit>();
  set.quantize = quantize<Set>;
  if constexpr (Set::packed4) {
    set.depthwise_packed4 = depthwise_packed4<Set>;
    set.grouped_row_q8 = grouped_row_q8<Set>;
    set.pack4_f32 = pack4_f32<Set>;
    set.pack4_q8 = pack4_q8<Set>;
    set.pack4_fill = pack4_fill<Set>;
    set.f32_to_f16 = f32_to_f16<Set>;
    set.f16_to_f32 = f16_to_f32<Set>;
  }
  return set;
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
