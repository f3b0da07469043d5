// The table of a target: every kernel compiled for V.
#pragma once

#include "exec/kernels/convert-inl.h"
#include "exec/kernels/dwconv_f32-inl.h"
#include "exec/kernels/dwconv_q8-inl.h"
#include "exec/kernels/elementwise-inl.h"
#include "exec/kernels/gemm_columns-inl.h"
#include "exec/kernels/gemm_f32-inl.h"
#include "exec/kernels/gemm_q8_segments-inl.h"
#include "exec/kernels/gemm_segments-inl.h"
#include "exec/kernels/grouped-inl.h"
#include "exec/kernels/pool_resize-inl.h"
#include "exec/kernels/winograd-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

template <class Layout>
constexpr Q8Kernels q8_kernels() {
  Q8Kernels q8{Layout::group, gemm_q8<Layout>, gemm_q8_segments<Layout>, pack_q8<Layout>, nullptr, repack_q8<Layout>};
  if constexpr (V::packed4) q8.pack_q8_f16 = pack_q8_f16<Layout>;
  return q8;
}

template <class Set = V>
constexpr KernelSet kernel_set(const char* name) {
  KernelSet set{};
  set.name = name;
  set.panel = kPanel;
  set.q8 = q8_kernels<Set>();
  if constexpr (requires { typename Set::Safe16Bit; }) set.q8_16bit_safe = q8_kernels<typename Set::Safe16Bit>();
  set.gemm = gemm;
  set.gemm_segments = gemm_segments;
  set.few_columns = kFewColumns;
  set.gemm_columns = gemm_columns;
  set.winograd_input = winograd_input;
  set.winograd_output = winograd_output;
  set.scale_rows = scale_rows;
  set.fake_quantize = fake_quantize;
  set.quantize = quantize<Set>;
  set.dequantize = dequantize;
  set.depthwise_row = depthwise_row;
  set.grouped_row = grouped_row<Set>;
  set.weighted_sum_row = weighted_sum_row;
  set.product_row = product_row;
  set.exp_rows = exp_rows;
  set.average_pool_row = average_pool_row;
  set.bilinear_row = bilinear_row;
  set.max_pool_row = max_pool_row;
  set.max_pool_q8 = max_pool_q8;
  set.sum_q8 = sum_q8;
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
