// Products of packed rows and weights, 4 bytes of each at a time: what gemm_q8-inl.h and gemm_bf16-inl.h share.
#pragma once

#include "exec/kernels/tile_epilogue-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// The epilogue of a tile of packed products; pointers are at the tile's first row and column.
struct ProductEpilogue {
  // What is left to do with `rows` rows of float sums, bias included, [rows][kPanel], of which the first is row `first` of all.
  // They may be overwritten.
  using Finish = void (*)(int64_t first, int rows, float* sums, float* c, int64_t ldc, const ProductEpilogue& end);

  TileEpilogue floats;
  const float* scales;                    // q8: result = 32-bit sum * scale + bias
  const int32_t* zero_point_corrections;  // q8 of group 4: what sums start from
  RequantizeParams requantize;            // q8, where results are requantized
  float least = 0;                        // q8: requantized results are clamped to [least, qmax]
  StoredResults stored;                   // q8: `out` at the tile's first column, of row 0
  StoredResidual stored_residual;         // at the tile's first column, of row 0
  Finish finish = nullptr;                // null: tiles are finished in registers
};

template <Act act>
void finish_floats(int64_t, int rows, float* sums, float* c, int64_t ldc, const ProductEpilogue& end) {
  finish_panel<act>(rows, sums, c, ldc, end.floats);
}

// Adds the products of `Blocks` groups, which are summed in 16 bits before they are widened to 32: of 16-bit-safe weights, whose
// k16BitSafeRows are two groups.
template <class P, int Blocks, int Rows, int Vectors>
inline void add_blocks(typename V::I (&acc)[Rows][Vectors], const typename P::Element* a, int64_t lda,
                       const typename P::Element* b) {
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    typename V::I av[Blocks];
#pragma GCC unroll 16
    for (int i = 0; i < Blocks; ++i) av[i] = V::four_bytes(a + r * lda + i * P::group);
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      const typename P::Element* column = b + v * P::group * V::width;
      typename V::I sums = P::Set::products(av[0], V::iload(column));
#pragma GCC unroll 16
      for (int i = 1; i < Blocks; ++i)
        sums = P::Set::add_products(sums, P::Set::products(av[i], V::iload(column + i * P::group * kPanel)));
      acc[r][v] = P::Set::add_sums(acc[r][v], sums);
    }
  }
}

// A tile of Rows rows and Vectors vectors of columns, sums in registers; b is a panel [row groups][panel][group].
// P is the kind of product: Q8Product or Bf16Product. It says how 4 bytes of a row (`group` elements) are multiplied by 4 bytes
// of each column and added to the sums.
template <class P, Act act, bool Requantize, int Rows, int Vectors>
inline void product_tile(const typename P::Element* a, int64_t lda, const typename P::Element* b, float* c, int64_t ldc,
                         const ProductEpilogue& end) {
  typename P::Sum acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int v = 0; v < Vectors; ++v) {
    const typename P::Sum start = P::start(end, v * V::width);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) acc[r][v] = start;
  }
  int64_t i = 0;
  if constexpr (P::blocks > 1) {
    for (; i + P::blocks * P::group <= lda; i += P::blocks * P::group) add_blocks<P, P::blocks>(acc, a + i, lda, b + i * kPanel);
    if (i < lda) add_blocks<P, 1>(acc, a + i, lda, b + i * kPanel);
  } else {
    for (; i < lda; i += P::group) {
      typename V::I bv[Vectors];
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) bv[v] = V::iload(b + i * kPanel + v * P::group * V::width);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        typename V::I av = V::four_bytes(a + r * lda + i);
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) acc[r][v] = P::dot(acc[r][v], av, bv[v]);
      }
    }
  }
  P::template finish<act, Requantize>(acc, c, ldc, end);
}

// Asks for the memory of `Rows` rows from row m on, the next tile's, which its epilogue reads and writes: the CPU does not
// foresee addresses that lie a row of the map apart, and would wait for each tile's.
template <int Rows>
inline void prefetch_epilogue(int64_t m, const ProductEpilogue& end) {
  const StoredResults& to = end.stored;
  if (!to.out) return;
  const int64_t row_bytes = to.stride * stored_bytes(to.storage);
  if (row_bytes < 256) return;  // rows that lie close together are foreseen
  const char* out = static_cast<const char*>(to.out) + m * row_bytes;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) __builtin_prefetch(out + r * row_bytes, 1);
  const StoredResidual& residual = end.stored_residual;
  if (!residual.data) return;
  const int64_t ldr_bytes = end.floats.ldr * stored_bytes(residual.storage);
  const char* add = static_cast<const char*>(residual.data) + m * ldr_bytes;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) __builtin_prefetch(add + r * ldr_bytes);
}

template <class P, Act act, bool Requantize, int Rows, int Vectors>
inline void product_tiles(int64_t& m, int64_t rows, const typename P::Element* a, int64_t lda, const typename P::Element* b,
                          float* c, int64_t ldc, ProductEpilogue end) {
  const float* residual = end.floats.residual;
  alignas(64) float sums[Rows * kPanel];
  ProductEpilogue only_sums = end;
  only_sums.floats.residual = nullptr;
  only_sums.floats.columns = Vectors * V::width;
  for (; m + Rows <= rows; m += Rows) {
    if (residual) end.floats.residual = residual + m * end.floats.ldr;
    float* const to = c + m * ldc;
    if constexpr (act == Act::none && !Requantize) {
      if (m + 2 * Rows <= rows) prefetch_epilogue<Rows>(m + Rows, end);
      const bool in_memory = end.finish != nullptr;
      product_tile<P, act, Requantize, Rows, Vectors>(a + m * lda, lda, b, in_memory ? sums : to, in_memory ? kPanel : ldc,
                                                      in_memory ? only_sums : end);
      if (in_memory) end.finish(m, Rows, sums, to, ldc, end);
    } else {
      product_tile<P, act, Requantize, Rows, Vectors>(a + m * lda, lda, b, to, ldc, end);
    }
  }
}

template <class P, Act act, bool Requantize, int Vectors>
inline void product_rows(int64_t rows, const typename P::Element* a, int64_t lda, const typename P::Element* b, float* c,
                         int64_t ldc, const ProductEpilogue& end) {
  int64_t m = 0;
  if constexpr (V::q8_tile_rows == 12 && Requantize) {
    // The epilogue waits for the sums: the CPU overlaps it with the next tile when tiles are small.
    product_tiles<P, act, Requantize, 6, Vectors>(m, rows, a, lda, b, c, ldc, end);
  } else if constexpr (V::q8_tile_rows == 12) {
    // 16 rows are two tiles of 8, not one of 12 and a slow one of 4.
    const int64_t rows_by_12 = rows % 12 == 4 && rows > 4 ? rows - 16 : rows;
    product_tiles<P, act, Requantize, 12, Vectors>(m, rows_by_12, a, lda, b, c, ldc, end);
    product_tiles<P, act, Requantize, 8, Vectors>(m, rows, a, lda, b, c, ldc, end);
  } else {
    product_tiles<P, act, Requantize, V::q8_tile_rows, Vectors>(m, rows, a, lda, b, c, ldc, end);
  }
  product_tiles<P, act, Requantize, 4, Vectors>(m, rows, a, lda, b, c, ldc, end);
  product_tiles<P, act, Requantize, 2, Vectors>(m, rows, a, lda, b, c, ldc, end);
  product_tiles<P, act, Requantize, 1, Vectors>(m, rows, a, lda, b, c, ldc, end);
}

template <class P, Act act, bool Requantize>
void gemm_panels(const typename P::Element* a, int64_t m, const typename P::Matrix& b, int64_t first_panel, int64_t last_panel,
                 float* c, int64_t ldc, const Epilogue& e, ProductEpilogue::Finish finish = nullptr) {
  const int64_t lda = row_groups(b.k, P::group) * P::group;
  for (int64_t p = first_panel; p < last_panel; ++p) {
    const int64_t column = p * kPanel;
    const int valid = static_cast<int>(b.n - column < kPanel ? b.n - column : kPanel);
    const int columns = e.requantize ? (valid > V::width ? kPanel : V::width) : valid;
    const TileEpilogue floats{
        e.bias + column, e.residual ? e.residual + column : nullptr, e.residual_stride, e.residual_first, columns, false, p > 0};
    ProductEpilogue end = P::end(b, floats, e, column);
    end.finish = finish;
    const auto* panel = static_cast<const typename P::Element*>(b.data) + column * lda;
    if (columns > V::width)
      product_rows<P, act, Requantize, 2>(m, a, lda, panel, c + column, ldc, end);
    else
      product_rows<P, act, Requantize, 1>(m, a, lda, panel, c + column, ldc, end);
  }
}

// gemm_panels with float results.
template <class P>
void gemm_floats(const typename P::Element* a, int64_t m, const typename P::Matrix& b, int64_t first_panel, int64_t last_panel,
                 float* c, int64_t ldc, const Epilogue& e) {
  with_act(e.act, [&]<Act act>() {
    constexpr bool in_registers = act == Act::none || act == Act::swish_2e3;
    gemm_panels<P, in_registers ? act : Act::none, false>(a, m, b, first_panel, last_panel, c, ldc, e,
                                                          in_registers ? nullptr : finish_floats<act>);
  });
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
