// Depthwise convolutions whose results are stored as bf16.
#pragma once

#include "exec/kernels/dwconv_f32-inl.h"
#include "exec/kernels/dwconv_q8-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// Results of dwconv_f32 that are stored as bf16.
template <class Set>
struct Bf16Results {
  using Element = uint16_t;
  static void store(Element* p, Vec y) { Set::store_bf16(p, y); }
  static void store_some(Element* p, Vec y, int n) {
    Element whole[V::width];
    store(whole, y);
    for (int i = 0; i < n; ++i) p[i] = whole[i];
  }
};

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
