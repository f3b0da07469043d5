// What every matrix product does to a tile of sums that becomes floats.
#pragma once

#include "exec/kernels/activation-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// The epilogue of a tile [Rows][Vectors * width] of a product; pointers are at the tile's column 0.
struct TileEpilogue {
  const float* bias;
  const float* residual;
  int64_t ldr;
  bool residual_first;
  int columns;
  bool from_memory = false;  // gemm_f32: nothing has read the rows of a yet, and they are too many to just stream by
  bool preceded = false;     // q8: other panels lie before, so that rows have at least kPanel columns in front of these
};

// Adds the residual to a tile's sums, applies the activation, and stores `columns` columns of each row.
template <Act act, int Rows, int Vectors>
inline void finish_tile(Vec (&acc)[Rows][Vectors], float* c, int64_t ldc, const TileEpilogue& end) {
  // The last vector may be part of one.
  const int last = end.columns - (Vectors - 1) * V::width;
  const auto finish = [&](auto load, auto store) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const float* from = end.residual ? end.residual + r * end.ldr : nullptr;
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        Vec x = acc[r][v];
        if (from && end.residual_first) x = V::add(x, load(from + v * V::width, v));
        x = activate<act>(x);
        if (from && !end.residual_first) x = V::add(x, load(from + v * V::width, v));
        store(c + r * ldc + v * V::width, x, v);
      }
    }
  };
  if (last == V::width)
    finish([](const float* p, int) { return V::load(p); }, [](float* p, Vec x, int) { V::store(p, x); });
  else
    finish([&](const float* p, int v) { return v + 1 < Vectors ? V::load(p) : V::load_some(p, last); },
           [&](float* p, Vec x, int v) { v + 1 < Vectors ? V::store(p, x) : V::store_some(p, x, last); });
}

// finish_tile of `rows` rows of finished sums in memory, [rows][kPanel].
template <Act act, int Vectors>
inline void finish_rows(int rows, const float* sums, float* c, int64_t ldc, TileEpilogue end) {
  for (int r = 0; r < rows; ++r, sums += kPanel, c += ldc) {
    Vec x[1][Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) x[0][v] = V::load(sums + v * V::width);
    finish_tile<act, 1, Vectors>(x, c, ldc, end);
    if (end.residual) end.residual += end.ldr;
  }
}

// What is left to do with `rows` rows of a product's sums, bias included, [rows][kPanel]. Products apply the activations of
// common networks to sums in registers, and the other ones to a tile in memory through this, with the same results: each
// activation in registers is some ten kilobytes of code for each kind of product, and several seconds of the compiler's time.
using FinishRows = void (*)(int rows, const float* sums, float* c, int64_t ldc, const TileEpilogue& end);

template <Act act>
void finish_panel(int rows, const float* sums, float* c, int64_t ldc, const TileEpilogue& end) {
  if (end.columns > V::width)
    finish_rows<act, 2>(rows, sums, c, ldc, end);
  else
    finish_rows<act, 1>(rows, sums, c, ldc, end);
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
