#include "quant/products.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/cpu.h"

namespace cytodet::quant {
namespace {

template <int lanes>
struct Lanes {
  typedef float type __attribute__((vector_size(lanes * sizeof(float))));
};

// Rows of the result that are held in registers at once, and vectors of each.
constexpr int kTileRows = 6, kTileVectors = 2;

// One tile: tile rows i .. i + kTileRows, the columns of one panel. `panel`: [rows, kTileVectors * lanes].
template <int lanes>
[[gnu::always_inline]] inline void add_tile(const float* x, int64_t rows, int64_t n, int64_t i, const float* panel, float* tile) {
  using V = typename Lanes<lanes>::type;
  V sum[kTileRows][kTileVectors] = {};
  for (int64_t r = 0; r < rows; ++r) {
    V column[kTileVectors];
    std::memcpy(column, panel + r * kTileVectors * lanes, sizeof column);
    const float* row = x + r * n + i;
#pragma GCC unroll 6
    for (int t = 0; t < kTileRows; ++t)
#pragma GCC unroll 2
      for (int v = 0; v < kTileVectors; ++v) sum[t][v] += row[t] * column[v];
  }
  std::memcpy(tile, sum, sizeof sum);
}

template <int lanes>
[[gnu::always_inline]] inline void add_all_products(const float* x, int64_t rows, int64_t n, float* sums, int64_t stride) {
  constexpr int64_t wide = kTileVectors * lanes;
  std::vector<float> panel(static_cast<size_t>(rows * wide)), edge(static_cast<size_t>(rows * kTileRows));
  alignas(64) float tile[kTileRows * wide];
  for (int64_t j = 0; j < n; j += wide) {
    const int64_t columns = std::min(wide, n - j);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < wide; ++c) panel[static_cast<size_t>(r * wide + c)] = c < columns ? x[r * n + j + c] : 0;
    for (int64_t i = 0; i < j + columns; i += kTileRows) {
      const int64_t height = std::min<int64_t>(kTileRows, n - i);
      if (height == kTileRows) {
        add_tile<lanes>(x, rows, n, i, panel.data(), tile);
      } else {
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t t = 0; t < kTileRows; ++t)
            edge[static_cast<size_t>(r * kTileRows + t)] = t < height ? x[r * n + i + t] : 0;
        add_tile<lanes>(edge.data(), rows, kTileRows, 0, panel.data(), tile);
      }
      for (int64_t t = 0; t < height; ++t)
        for (int64_t c = 0; c < columns; ++c) sums[(i + t) * stride + j + c] += tile[t * wide + c];
    }
  }
}

template <int lanes>
[[gnu::always_inline]] inline void weighted_rows_of(const float* factor, const float* x, int64_t n, float* out) {
  using V = typename Lanes<lanes>::type;
  constexpr int vectors = kColumns / lanes, chains = 4;
  V sum[chains][vectors] = {};
  const auto add = [&](int chain, int64_t i) __attribute__((always_inline)) {
    V row[vectors];
    std::memcpy(row, x + i * kColumns, sizeof row);
    for (int v = 0; v < vectors; ++v) sum[chain][v] += factor[i] * row[v];
  };
  int64_t i = 0;
  for (; i + chains <= n; i += chains)
#pragma GCC unroll 4
    for (int c = 0; c < chains; ++c) add(c, i + c);
  for (; i < n; ++i) add(0, i);
  for (int v = 0; v < vectors; ++v) sum[0][v] = (sum[0][v] + sum[1][v]) + (sum[2][v] + sum[3][v]);
  std::memcpy(out, sum[0], sizeof sum[0]);
}

template <int lanes>
[[gnu::always_inline]] inline void add_outer_of(const float* factor, const float* step, int64_t n, float* x) {
  using V = typename Lanes<lanes>::type;
  constexpr int vectors = kColumns / lanes;
  V by[vectors];
  std::memcpy(by, step, sizeof by);
  for (int64_t i = 0; i < n; ++i) {
    V row[vectors];
    std::memcpy(row, x + i * kColumns, sizeof row);
    for (int v = 0; v < vectors; ++v) row[v] += factor[i] * by[v];
    std::memcpy(x + i * kColumns, row, sizeof row);
  }
}

struct ProductKernels {
  void (*add_products)(const float*, int64_t, int64_t, float*, int64_t);
  void (*weighted_rows)(const float*, const float*, int64_t, float*);
  void (*add_outer)(const float*, const float*, int64_t, float*);
};

// NOLINTBEGIN(bugprone-macro-parentheses): target is an attribute
#define CYTODET_PRODUCTS(name, target, lanes)                                                                                  \
  target void add_products_##name(const float* x, int64_t rows, int64_t n, float* sums, int64_t stride) {                      \
    add_all_products<lanes>(x, rows, n, sums, stride);                                                                         \
  }                                                                                                                            \
  target void weighted_rows_##name(const float* f, const float* x, int64_t n, float* out) {                                    \
    weighted_rows_of<lanes>(f, x, n, out);                                                                                     \
  }                                                                                                                            \
  target void add_outer_##name(const float* f, const float* step, int64_t n, float* x) { add_outer_of<lanes>(f, step, n, x); } \
  constexpr ProductKernels kProducts_##name{add_products_##name, weighted_rows_##name, add_outer_##name};
// NOLINTEND(bugprone-macro-parentheses)

CYTODET_PRODUCTS(baseline, , 4)
#if defined(__x86_64__)
CYTODET_PRODUCTS(avx2, [[gnu::target("avx2,fma")]], 8)
CYTODET_PRODUCTS(avx512, [[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,fma" CYTODET_PREFER_512_BITS)]], 16)
#endif
#undef CYTODET_PRODUCTS

const ProductKernels& product_kernels() {
  static const ProductKernels* const chosen = select_for_isa<const ProductKernels*>({
    {Isa::baseline, &kProducts_baseline},
#if defined(__x86_64__)
        {Isa::avx2, &kProducts_avx2}, {Isa::avx512, &kProducts_avx512},
#endif
  });
  return *chosen;
}

}  // namespace

void add_products(const float* x, int64_t rows, int64_t n, float* sums, int64_t stride) {
  product_kernels().add_products(x, rows, n, sums, stride);
}
void weighted_rows(const float* factor, const float* x, int64_t n, float* out) {
  product_kernels().weighted_rows(factor, x, n, out);
}
void add_outer(const float* factor, const float* step, int64_t n, float* x) { product_kernels().add_outer(factor, step, n, x); }

}  // namespace cytodet::quant
