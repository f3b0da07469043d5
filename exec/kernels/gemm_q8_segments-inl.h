// Products of q8 values where rows lie in segments (Q8Kernels::gemm_segments).
#pragma once

#include "exec/kernels/gemm_q8-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// Adds the products of one segment of Rows rows with b, a panel from the segment's first row on.
template <class P, int Rows, int Vectors>
inline void add_segment(typename V::I (&acc)[Rows][Vectors], const typename P::Element* const (&row)[Rows], int64_t length,
                        const typename P::Element* b) {
  int64_t i = 0;
  if constexpr (P::blocks > 1) {
    for (; i + 2 * P::group <= length; i += 2 * P::group)
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const typename V::I a0 = V::four_bytes(row[r] + i), a1 = V::four_bytes(row[r] + i + P::group);
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) {
          const typename P::Element* column = b + i * kPanel + v * P::group * V::width;
          const typename V::I first = P::Set::products(a0, V::iload(column));
          const typename V::I second = P::Set::products(a1, V::iload(column + P::group * kPanel));
          acc[r][v] = P::Set::add_sums(acc[r][v], P::Set::add_products(first, second));
        }
      }
  }
#pragma GCC unroll 2
  for (; i < length; i += P::group) {
    typename V::I bv[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) bv[v] = V::iload(b + i * kPanel + v * P::group * V::width);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const typename V::I av = V::four_bytes(row[r] + i);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        if constexpr (P::blocks > 1)
          acc[r][v] = P::Set::add_sums(acc[r][v], P::Set::products(av, bv[v]));
        else
          acc[r][v] = P::dot(acc[r][v], av, bv[v]);
      }
    }
  }
}

// sums[Rows][kPanel] of whole rows.
template <class P, int Rows, int Vectors>
void sum_q8_segments(const void* const* rows, const SegmentedRows& a, const typename P::Element* b, const ProductEpilogue& end,
                     int32_t* sums) {
  typename V::I acc[Rows][Vectors];
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    const typename V::I start = P::start(end, v * V::width);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) acc[r][v] = start;
  }
  for (int64_t s = 0; s < a.count; ++s) {
    const typename P::Element* row[Rows];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) row[r] = static_cast<const typename P::Element*>(rows[r]) + a.segments[s].offset;
    add_segment<P, Rows, Vectors>(acc, row, a.segments[s].length, b);
    b += a.segments[s].length * kPanel;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) V::istore(sums + r * kPanel + v * V::width, acc[r][v]);
}

// sum_q8_segments of `rows` rows, at most Rows.
template <class P, int Rows, int Vectors>
inline void sum_q8_segments_of(int rows, const void* const* from, const SegmentedRows& a, const typename P::Element* b,
                               const ProductEpilogue& end, int32_t* sums) {
  if constexpr (Rows > 1)
    if (rows < Rows) return sum_q8_segments_of<P, Rows - 1, Vectors>(rows, from, a, b, end, sums);
  sum_q8_segments<P, Rows, Vectors>(from, a, b, end, sums);
}

template <Act act, int Vectors>
inline void finish_q8_segments(int rows, const int32_t* sums, float* c, int64_t ldc, ProductEpilogue end) {
  for (int r = 0; r < rows; ++r, sums += kPanel, c += ldc) {
    typename V::I acc[1][Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) acc[0][v] = V::iload(sums + v * V::width);
    finish_q8<act, false>(acc, c, ldc, end);
    if (end.floats.residual) end.floats.residual += end.floats.ldr;
  }
}

// Sums become floats, bias included.
inline void float_sums(int rows, const int32_t* sums, const ProductEpilogue& end, float* out) {
  const int vectors = end.floats.columns > V::width ? 2 : 1;
  for (int v = 0; v < vectors; ++v) {
    const Vec scale = V::load(end.scales + v * V::width), bias = V::load(end.floats.bias + v * V::width);
    for (int r = 0; r < rows; ++r) {
      const int at = r * kPanel + v * V::width;
      V::store(out + at, V::fma(V::to_float(V::iload(sums + at)), scale, bias));
    }
  }
}

// Tiles of nearly equal heights.
template <class P, int Vectors>
void gemm_q8_segments_panel(const SegmentedRows& a, int64_t m, const typename P::Element* panel, float* c, int64_t ldc, Act act,
                            ProductEpilogue end) {
  constexpr int kRows = V::q8_tile_rows == 12 ? V::segment_tile_rows : V::q8_tile_rows;
  alignas(64) int32_t sums[kRows * kPanel];
  const float* residual = end.floats.residual;
  const int64_t tiles = (m + kRows - 1) / kRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = m * t / tiles;
    const int rows = static_cast<int>(m * (t + 1) / tiles - row);
    sum_q8_segments_of<P, kRows, Vectors>(rows, a.rows + row, a, panel, end, sums);
    if (residual) end.floats.residual = residual + row * end.floats.ldr;
    if (end.finish) {
      alignas(64) float floats[kRows * kPanel];
      float_sums(rows, sums, end, floats);
      end.finish(row, rows, floats, c, ldc, end);
      continue;
    }
    with_act(act, [&]<Act of>() { finish_q8_segments<of, Vectors>(rows, sums, c + row * ldc, ldc, end); });
  }
}

template <class Layout>
void gemm_q8_segments(const SegmentedRows& a, int64_t m, const PackedQ8Weights& b, int64_t first_panel, int64_t last_panel,
                      float* c, int64_t ldc, const Epilogue& e) {
  using P = Q8Product<Layout>;
  const int64_t k = row_groups(b.k, P::group) * P::group;
  for (int64_t p = first_panel; p < last_panel; ++p) {
    const int64_t column = p * kPanel;
    const int columns = static_cast<int>(b.n - column < kPanel ? b.n - column : kPanel);
    const TileEpilogue floats{
        e.bias + column, e.residual ? e.residual + column : nullptr, e.residual_stride, e.residual_first, columns, false, p > 0};
    ProductEpilogue end = P::end(b, floats, e, column);
    if (e.stored.storage != StorageType::f32) with_act(e.act, [&]<Act act>() { end.finish = finish_stored<act>; });
    const auto* panel = static_cast<const typename P::Element*>(b.data) + column * k;
    if (columns > V::width)
      gemm_q8_segments_panel<P, 2>(a, m, panel, c + column, ldc, e.act, end);
    else
      gemm_q8_segments_panel<P, 1>(a, m, panel, c + column, ldc, e.act, end);
  }
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
