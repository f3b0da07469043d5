// The table of a target: every kernel compiled for V.
#pragma once

#include "exec/kernels/dwconv_f32-inl.h"
#include "exec/kernels/elementwise-inl.h"
#include "exec/kernels/gemm_columns-inl.h"
#include "exec/kernels/gemm_f32-inl.h"
#include "exec/kernels/gemm_segments-inl.h"
#include "exec/kernels/grouped-inl.h"
#include "exec/kernels/pool_resize-inl.h"
#include "exec/kernels/q8_set-inl.h"
#include "exec/kernels/winograd-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

template <class Set = V>
constexpr KernelSet kernel_set(const char* name) {
  KernelSet set = q8_set<Set>();
  set.name = name;
  set.panel = kPanel;
  set.gemm = gemm;
  set.gemm_segments = gemm_segments;
  set.few_columns = kFewColumns;
  set.gemm_columns = gemm_columns;
  set.winograd_input = winograd_input;
  set.winograd_output = winograd_output;
  set.scale_rows = scale_rows;
  set.fake_quantize = fake_quantize;
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
  return set;
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
