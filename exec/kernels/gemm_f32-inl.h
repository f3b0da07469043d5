// c = epilogue(a * b) in float (KernelSet::gemm), and scale_rows.
#pragma once

#include "exec/kernels/tile_epilogue-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// A tile of Rows rows and Vectors vectors of columns, sums in registers; b is a panel [k][panel].
template <Act act, int Rows, int Vectors, bool FromMemory>
inline void gemm_tile(const float* a, int64_t lda, int64_t k, const float* b, float* c, int64_t ldc, const TileEpilogue& end) {
  Vec acc[Rows][Vectors];
  for (int v = 0; v < Vectors; ++v) {
    Vec start = V::load(end.bias + v * V::width);
    for (int r = 0; r < Rows; ++r) acc[r][v] = start;
  }
  // Rows are reached from every third one, so that the addresses of tall tiles fit the registers too.
  constexpr int kBases = (Rows + 2) / 3;
  const float* base[kBases];
#pragma GCC unroll 16
  for (int i = 0; i < kBases; ++i) base[i] = a + 3 * i * lda;
  // The tile's rows are more streams than the hardware prefetcher follows: the next tile's are prefetched, a cache line at a
  // time.
  constexpr int64_t kLine = 16;
  for (int64_t i = 0; i < k;) {
    if constexpr (FromMemory)
      for (int r = 0; r < Rows; ++r) __builtin_prefetch(a + (Rows + r) * lda + i);
    const int64_t last = FromMemory && i + kLine < k ? i + kLine : k;
    for (; i < last; ++i) {
      Vec bv[Vectors];
      for (int v = 0; v < Vectors; ++v) bv[v] = V::load(b + i * kPanel + v * V::width);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        Vec av = V::set(base[r / 3][r % 3 * lda + i]);
        for (int v = 0; v < Vectors; ++v) acc[r][v] = V::fma(av, bv[v], acc[r][v]);
      }
    }
  }
  finish_tile<act, Rows, Vectors>(acc, c, ldc, end);
}

template <Act act, int Rows, int Vectors, bool FromMemory = false>
inline void gemm_tiles(int64_t& m, int64_t rows, const float* a, int64_t lda, int64_t k, const float* b, float* c, int64_t ldc,
                       TileEpilogue end, FinishRows finish) {
  const float* residual = end.residual;
  alignas(64) float sums[Rows * kPanel];
  const TileEpilogue only_sums{end.bias, nullptr, 0, false, Vectors * V::width};
  for (; m + Rows <= rows; m += Rows) {
    if (residual) end.residual = residual + m * end.ldr;
    float* const to = c + m * ldc;
    gemm_tile<act, Rows, Vectors, FromMemory>(a + m * lda, lda, k, b, finish ? sums : to, finish ? kPanel : ldc,
                                              finish ? only_sums : end);
    if (finish) finish(Rows, sums, to, ldc, end);
  }
}

// How many of `rows` rows are left for tiles of 7 and 4 rows behind those of Tall. Maps of 7 * 2^n pixels in a row are common,
// and tiles of one or two rows wait for their sums: with tall tiles of 14 rows, one of those gives its rows up where that avoids
// them.
template <int Tall>
inline int64_t rows_left(int64_t rows) {
  const int64_t left = rows % Tall;
  if (Tall != 14 || left == 0 || left == 4 || left == 7 || left == 8 || left == 11 || left == 12) return left;
  return rows > Tall ? left + Tall : left;
}

template <Act act, int Vectors>
inline void gemm_rows(int64_t rows, const float* a, int64_t lda, int64_t k, const float* b, float* c, int64_t ldc,
                      const TileEpilogue& end, FinishRows finish) {
  // Swish needs registers beside the sums: those of 14 rows leave it too few.
  constexpr int kTall = V::f32_tile_rows == 14 && act == Act::swish ? 12 : V::f32_tile_rows;
  const int64_t left = rows_left<kTall>(rows), tall = rows - left;
  int64_t m = 0;
  if (end.from_memory) gemm_tiles<act, kTall, Vectors, true>(m, tall, a, lda, k, b, c, ldc, end, finish);
  gemm_tiles<act, kTall, Vectors>(m, tall, a, lda, k, b, c, ldc, end, finish);
  if constexpr (kTall == 14) {
    int64_t sevens = 0;  // so many that fours are left, or as many as there are
    while (7 * sevens <= left && (left - 7 * sevens) % 4 != 0) ++sevens;
    if (7 * sevens > left) sevens = left / 7;
    gemm_tiles<act, 7, Vectors>(m, tall + 7 * sevens, a, lda, k, b, c, ldc, end, finish);
  }
  gemm_tiles<act, 4, Vectors>(m, rows, a, lda, k, b, c, ldc, end, finish);
  gemm_tiles<act, 2, Vectors>(m, rows, a, lda, k, b, c, ldc, end, finish);
  gemm_tiles<act, 1, Vectors>(m, rows, a, lda, k, b, c, ldc, end, finish);
}

// Rows in blocks of about 128 KiB of a, which stay in the L2 cache while all panels pass over them; of 256 KiB where b does not
// stay there, so that it is read less often.
template <Act act>
void gemm_act(const float* a, int64_t lda, int64_t m, const PackedF32Weights& b, int64_t first_panel, int64_t last_panel,
              float* c, int64_t ldc, const Epilogue& e, FinishRows finish) {
  int64_t block = (b.k * b.n > 128 * 1024 ? 256 : 128) * 1024 / 4 / (b.k > 0 ? b.k : 1);
  block = block < V::f32_tile_rows * 2 ? V::f32_tile_rows * 2 : block / V::f32_tile_rows * V::f32_tile_rows;
  for (int64_t row = 0; row < m; row += block) {
    int64_t rows = m - row < block ? m - row : block;
    for (int64_t p = first_panel; p < last_panel; ++p) {
      int64_t column = p * kPanel;
      int columns = static_cast<int>(b.n - column < kPanel ? b.n - column : kPanel);
      TileEpilogue end{e.bias + column,   e.residual ? e.residual + row * e.residual_stride + column : nullptr,
                       e.residual_stride, e.residual_first,
                       columns,           p == 0 && (b.k >= 64 || b.n > kPanel)};
      const float* panel = b.data + column * b.k;
      if (columns > V::width)
        gemm_rows<act, 2>(rows, a + row * lda, lda, b.k, panel, c + row * ldc + column, ldc, end, finish);
      else
        gemm_rows<act, 1>(rows, a + row * lda, lda, b.k, panel, c + row * ldc + column, ldc, end, finish);
    }
  }
}

void gemm(const float* a, int64_t lda, int64_t m, const PackedF32Weights& b, int64_t first_panel, int64_t last_panel, float* c,
          int64_t ldc, const Epilogue& e) {
  with_act(e.act, [&]<Act act>() {
    constexpr bool in_registers =
        act == Act::none || act == Act::relu || act == Act::relu6 || act == Act::swish || act == Act::hard_swish;
    gemm_act<in_registers ? act : Act::none>(a, lda, m, b, first_panel, last_panel, c, ldc, e,
                                             in_registers ? nullptr : finish_panel<act>);
  });
}

void scale_rows(const PackedF32Weights& b, const float* scale, float* out) {
  int64_t panels = (b.n + kPanel - 1) / kPanel;
  const float* in = b.data;
  for (int64_t p = 0; p < panels; ++p)
    for (int64_t i = 0; i < b.k; ++i, in += kPanel, out += kPanel) {
      Vec s = V::set(scale[i]);
      for (int v = 0; v < 2; ++v) V::store(out + v * V::width, V::mul(V::load(in + v * V::width), s));
    }
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
