// Products of bf16 values summed in float (KernelSet::gemm_bf16).
#pragma once

#include "exec/kernels/gemm_packed-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

template <class Set>
struct Bf16Product {
  using Matrix = PackedBf16Weights;
  using Element = uint16_t;
  using Sum = Vec;
  static constexpr int group = 2, blocks = 1;
  static Sum start(const ProductEpilogue& end, int column) { return V::load(end.floats.bias + column); }
  static Sum dot(Sum sum, V::I row, V::I column) { return Set::dot_bf16(sum, row, column); }
  template <Act act, bool, int Rows, int Vectors>
  static void finish(Sum (&acc)[Rows][Vectors], float* c, int64_t ldc, const ProductEpilogue& end) {
    finish_tile<act, Rows, Vectors>(acc, c, ldc, end.floats);
  }
  static ProductEpilogue end(const Matrix&, const TileEpilogue& floats, const Epilogue&, int64_t) {
    return {floats, nullptr, nullptr, {}};
  }
};

template <class Set>
void gemm_bf16(const void* rows, int64_t m, const PackedBf16Weights& b, int64_t first_panel, int64_t last_panel, float* c,
               int64_t ldc, const Epilogue& e) {
  gemm_floats<Bf16Product<Set>>(static_cast<const uint16_t*>(rows), m, b, first_panel, last_panel, c, ldc, e);
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
