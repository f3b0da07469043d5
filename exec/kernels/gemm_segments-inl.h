// c = epilogue(a * b) in float, where rows of a lie in memory in segments (KernelSet::gemm_segments).
#pragma once

#include "exec/kernels/tile_epilogue-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// Sums of so many products, at least, are added to those of the segments before: short sums keep more of their bits.
constexpr int64_t kSegmentSum = 384;

// Products of the rows' segments [segment, end) with b, a panel [k][kPanel] from the first segment on: sums = bias + products,
// or, without a bias, += products; rows of sums are lds apart.
template <int Rows, int Vectors>
inline void add_segments(const void* const* rows, const RowSegment* segment, const RowSegment* end, const float* b,
                         const float* bias, float* sums, int64_t lds, int64_t ahead) {
  Vec acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) acc[r][v] = bias ? V::load(bias + v * V::width) : V::zero();
  for (; segment < end; ++segment) {
    const float* row[Rows];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) row[r] = static_cast<const float*>(rows[r]) + segment->offset;
#pragma GCC unroll 2
    for (int64_t i = 0; i < segment->length; ++i, b += kPanel) {
      Vec bv[Vectors];
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        bv[v] = V::load(b + v * V::width);
        __builtin_prefetch(b + ahead + v * V::width, 0, 2);
      }
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const Vec av = V::set(row[r][i]);
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) acc[r][v] = V::fma(av, bv[v], acc[r][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      float* at = sums + r * lds + v * V::width;
      V::store(at, bias ? acc[r][v] : V::add(V::load(at), acc[r][v]));
    }
}

template <int Rows, int Vectors>
void sum_segments(const void* const* rows, const SegmentedRows& a, const float* b, const float* bias, float* sums, int64_t lds,
                  int64_t ahead) {
  const RowSegment* const end = a.segments + a.count;
  for (const RowSegment* first = a.segments; first < end;) {
    const RowSegment* last = first;
    int64_t k = 0;
    while (last < end && k < kSegmentSum) k += last++->length;
    add_segments<Rows, Vectors>(rows, first, last, b, first == a.segments ? bias : nullptr, sums, lds, ahead);
    first = last;
    b += k * kPanel;
  }
}

// sum_segments of `rows` rows, at most Rows.
template <int Rows, int Vectors>
inline void sum_segments_of(int rows, const void* const* from, const SegmentedRows& a, const float* b, const float* bias,
                            float* sums, int64_t lds, int64_t ahead) {
  if constexpr (Rows > 1)
    if (rows < Rows) return sum_segments_of<Rows - 1, Vectors>(rows, from, a, b, bias, sums, lds, ahead);
  sum_segments<Rows, Vectors>(from, a, b, bias, sums, lds, ahead);
}

// Tiles of nearly equal heights.
template <int Vectors>
void gemm_segments_panel(const SegmentedRows& a, int64_t m, const float* panel, int64_t k, float* c, int64_t ldc,
                         const Epilogue& e, TileEpilogue end) {
  alignas(64) float sums[V::segment_tile_rows * kPanel];
  const bool sums_are_results = e.act == Act::none && !e.residual && end.columns == Vectors * V::width;
  const int64_t tiles = (m + V::segment_tile_rows - 1) / V::segment_tile_rows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = m * t / tiles;
    const int rows = static_cast<int>(m * (t + 1) / tiles - row);
    const int64_t ahead = t + 1 == tiles ? k * kPanel : 0;  // the next panel
    if (sums_are_results) {
      sum_segments_of<V::segment_tile_rows, Vectors>(rows, a.rows + row, a, panel, end.bias, c + row * ldc, ldc, ahead);
      continue;
    }
    sum_segments_of<V::segment_tile_rows, Vectors>(rows, a.rows + row, a, panel, end.bias, sums, kPanel, ahead);
    if (e.residual) end.residual = e.residual + row * end.ldr;
    with_act(e.act, [&]<Act act>() { finish_rows<act, Vectors>(rows, sums, c + row * ldc, ldc, end); });
  }
}

void gemm_segments(const SegmentedRows& a, int64_t m, const PackedF32Weights& b, int64_t first_panel, int64_t last_panel,
                   float* c, int64_t ldc, const Epilogue& e) {
  for (int64_t p = first_panel; p < last_panel; ++p) {
    const int64_t column = p * kPanel;
    const int columns = static_cast<int>(b.n - column < kPanel ? b.n - column : kPanel);
    Epilogue at = e;
    if (at.residual) at.residual += column;
    const TileEpilogue end{e.bias + column, at.residual, e.residual_stride, e.residual_first, columns};
    const float* panel = b.data + column * b.k;
    if (columns > V::width)
      gemm_segments_panel<2>(a, m, panel, b.k, c + column, ldc, at, end);
    else
      gemm_segments_panel<1>(a, m, panel, b.k, c + column, ldc, at, end);
  }
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
