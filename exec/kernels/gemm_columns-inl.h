// c = epilogue(a * b) in float where b has few columns (KernelSet::gemm_columns): vectors lie along the rows of a, so that none
// of their elements is wasted on columns that are not there.
#pragma once

#include "exec/kernels/tile_epilogue-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

constexpr int kFewColumns = V::width / 2;              // of more, panels of columns are faster
constexpr int kColumnSums = V::width == 16 ? 24 : 12;  // vectors of sums that fit the registers
constexpr int64_t kColumnBlock = 64;                   // rows whose sums wait for their epilogue

// sums[r * Columns + c] = a row's products with column c, of Rows rows.
template <int Rows, int Columns>
inline void sum_columns(const void* const* rows, const SegmentedRows& a, const FewColumns& b, float* sums) {
  Vec acc[Rows][Columns];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < Columns; ++c) acc[r][c] = V::zero();
  const auto add = [&](const float* const(&row)[Rows], const float* column, auto load) {
    Vec x[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) x[r] = load(row[r]);
#pragma GCC unroll 8
    for (int c = 0; c < Columns; ++c) {
      const Vec y = V::load(column + c * b.stride);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) acc[r][c] = V::fma(x[r], y, acc[r][c]);
    }
  };
  const float* column = b.data;
  for (const RowSegment* s = a.segments; s < a.segments + a.count; column += s++->length) {
    const float* row[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) row[r] = static_cast<const float*>(rows[r]) + s->offset;
    int64_t i = 0;
    for (; i + V::width <= s->length; i += V::width) {
      add(row, column + i, [](const float* p) { return V::load(p); });
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) row[r] += V::width;
    }
    const auto rest = static_cast<int>(s->length - i);
    if (rest > 0) add(row, column + i, [&](const float* p) { return V::load_some(p, rest); });
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < Columns; ++c) sums[r * Columns + c] = V::total(acc[r][c]);
}

// c[i] = act(sums[i] + bias[i % columns]), with the residual; n numbers.
template <Act act>
inline void finish_columns(const float* sums, int64_t n, const float* bias, const float* residual, bool residual_first,
                           float* c) {
  for (int64_t i = 0; i < n; i += V::width) {
    const int some = n - i < V::width ? static_cast<int>(n - i) : V::width;
    Vec x = V::add(V::load_some(sums + i, some), V::load_some(bias + i, some));
    if (residual && residual_first) x = V::add(x, V::load_some(residual + i, some));
    x = activate<act>(x);
    if (residual && !residual_first) x = V::add(x, V::load_some(residual + i, some));
    V::store_some(c + i, x, some);
  }
}

template <int Columns>
void gemm_of_columns(const SegmentedRows& a, int64_t m, const FewColumns& b, float* c, const Epilogue& e) {
  constexpr int kRows = kColumnSums / Columns < 8 ? kColumnSums / Columns : 8;
  alignas(64) float sums[kColumnBlock * Columns], bias[kColumnBlock * Columns];
  for (int64_t i = 0; i < kColumnBlock * Columns; ++i) bias[i] = e.bias[i % Columns];
  for (int64_t first = 0; first < m; first += kColumnBlock) {
    const int64_t rows = m - first < kColumnBlock ? m - first : kColumnBlock;
    int64_t r = 0;
    for (; r + kRows <= rows; r += kRows) sum_columns<kRows, Columns>(a.rows + first + r, a, b, sums + r * Columns);
    for (; r < rows; ++r) sum_columns<1, Columns>(a.rows + first + r, a, b, sums + r * Columns);
    const float* residual = e.residual ? e.residual + first * Columns : nullptr;
    with_act(e.act, [&]<Act act>() {
      finish_columns<act>(sums, rows * Columns, bias, residual, e.residual_first, c + first * Columns);
    });
  }
}

template <int Columns = kFewColumns>
void gemm_columns_of(const SegmentedRows& a, int64_t m, const FewColumns& b, float* c, const Epilogue& e) {
  if constexpr (Columns > 1)
    if (b.n < Columns) return gemm_columns_of<Columns - 1>(a, m, b, c, e);
  gemm_of_columns<Columns>(a, m, b, c, e);
}

void gemm_columns(const SegmentedRows& a, int64_t m, const FewColumns& b, float* c, const Epilogue& e) {
  gemm_columns_of(a, m, b, c, e);
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
