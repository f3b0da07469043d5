// Kernel bodies on 8-bit codes and on bfloat16 pairs, beside the float ones of f32_impl.h and under the same rules.
#include "exec/kernels/f32_impl.h"

namespace cytodet {
namespace {

// What a tile of sums of products becomes. Pointers are at the tile's first row and column.
struct ProductEnd {
  TileEnd floats;
  const float* scales;    // of codes
  const int32_t* starts;  // of codes; null: sums start at 0
  const CodeRule* codes;
  int64_t column;  // of the tile in the whole result
};

// The two kinds of products: 4 bytes of a row, `group` elements, times as many of each column.
struct CodeProduct {
  using Matrix = CodeMatrix;
  using Element = V::Code;
  using Sum = V::I;
  static constexpr int group = V::group;
  static Sum start(const ProductEnd& end, int column) {
    if constexpr (group == 4) return V::iload(end.starts + column);
    return V::izero();
  }
  static Sum dot(Sum sum, V::I row, V::I column) { return V::dot(sum, row, column); }
  static ProductEnd end(const Matrix& b, const TileEnd& floats, const Epilogue& e, int64_t column) {
    return {floats, b.scales + column, group == 4 ? b.starts + column : nullptr, e.codes, column};
  }
};
template <class Set>
struct Bf16Product {
  using Matrix = Bf16Matrix;
  using Element = uint16_t;
  using Sum = Vec;
  static constexpr int group = 2;
  static Sum start(const ProductEnd& end, int column) { return V::load(end.floats.bias + column); }
  static Sum dot(Sum sum, V::I row, V::I column) { return Set::dot_bf16(sum, row, column); }
  static ProductEnd end(const Matrix&, const TileEnd& floats, const Epilogue&, int64_t column) {
    return {floats, nullptr, nullptr, nullptr, column};
  }
};

template <Act act, int Rows, int Vectors>
inline void finish_product(typename V::I (&acc)[Rows][Vectors], float* c, int64_t ldc, const ProductEnd& end) {
  Vec sums[Rows][Vectors];
#pragma GCC unroll 16
  for (int v = 0; v < Vectors; ++v) {
    const Vec scale = V::load(end.scales + v * V::width), bias = V::load(end.floats.bias + v * V::width);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) sums[r][v] = V::fma(V::to_float(acc[r][v]), scale, bias);
  }
  if (!end.codes) return finish_tile<act, Rows, Vectors>(sums, c, ldc, end.floats);
  const Vec lowest = V::set(end.codes->lowest), highest = V::set(end.codes->highest);
#pragma GCC unroll 16
  for (int v = 0; v < Vectors; ++v) {
    const Vec inverse = V::load(end.codes->inverse_scales + end.column + v * V::width);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
      V::store(c + r * ldc + v * V::width, to_code(activate<act>(sums[r][v]), inverse, lowest, highest));
  }
}
template <Act act, int Rows, int Vectors>
inline void finish_product(Vec (&acc)[Rows][Vectors], float* c, int64_t ldc, const ProductEnd& end) {
  finish_tile<act, Rows, Vectors>(acc, c, ldc, end.floats);
}

// b holds [groups][panel][group].
template <class P, Act act, int Rows, int Vectors>
inline void product_tile(const typename P::Element* a, int64_t lda, const typename P::Element* b, float* c, int64_t ldc,
                         const ProductEnd& end) {
  typename P::Sum acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int v = 0; v < Vectors; ++v) {
    const typename P::Sum start = P::start(end, v * V::width);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) acc[r][v] = start;
  }
  for (int64_t i = 0; i < lda; i += P::group) {
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
  finish_product<act, Rows, Vectors>(acc, c, ldc, end);
}

template <class P, Act act, int Rows, int Vectors>
inline void product_tiles(int64_t& m, int64_t rows, const typename P::Element* a, int64_t lda, const typename P::Element* b,
                          float* c, int64_t ldc, ProductEnd end) {
  const float* residual = end.floats.residual;
  for (; m + Rows <= rows; m += Rows) {
    if (residual) end.floats.residual = residual + m * end.floats.ldr;
    product_tile<P, act, Rows, Vectors>(a + m * lda, lda, b, c + m * ldc, ldc, end);
  }
}

template <class P, Act act, int Vectors>
inline void product_rows(int64_t rows, const typename P::Element* a, int64_t lda, const typename P::Element* b, float* c,
                         int64_t ldc, const ProductEnd& end) {
  int64_t m = 0;
  product_tiles<P, act, V::code_rows, Vectors>(m, rows, a, lda, b, c, ldc, end);
  product_tiles<P, act, 4, Vectors>(m, rows, a, lda, b, c, ldc, end);
  product_tiles<P, act, 2, Vectors>(m, rows, a, lda, b, c, ldc, end);
  product_tiles<P, act, 1, Vectors>(m, rows, a, lda, b, c, ldc, end);
}

template <class P>
void gemm_products(const void* rows, int64_t m, const typename P::Matrix& b, int64_t first_panel, int64_t last_panel, float* c,
                   int64_t ldc, const Epilogue& e) {
  using Element = typename P::Element;
  const Element* a = static_cast<const Element*>(rows);
  with_act(e.act, [&]<Act act>() {
    const int64_t lda = row_groups(b.k, P::group) * P::group;
    for (int64_t p = first_panel; p < last_panel; ++p) {
      const int64_t column = p * kPanel;
      const int valid = static_cast<int>(b.n - column < kPanel ? b.n - column : kPanel);
      const int columns = e.codes ? (valid > V::width ? kPanel : V::width) : valid;
      const TileEnd floats{e.bias + column, e.residual ? e.residual + column : nullptr, e.residual_stride, e.residual_first,
                           columns};
      const ProductEnd end = P::end(b, floats, e, column);
      const Element* panel = static_cast<const Element*>(b.data) + column * lda;
      if (columns > V::width)
        product_rows<P, act, 2>(m, a, lda, panel, c + column, ldc, end);
      else
        product_rows<P, act, 1>(m, a, lda, panel, c + column, ldc, end);
    }
  });
}

// out[rows][stride] of in[rows][lda], two vectors at a time: store(out + column, two vectors of numbers times their factors).
template <class Element, class Factor, class Store>
inline void convert_rows(const float* in, int64_t lda, int64_t rows, int64_t k, int64_t stride, Element* out, Factor factor_of,
                         Store store) {
  constexpr int64_t kBlock = 512;  // columns whose factors lie ready
  constexpr int kStep = 2 * V::width;
  alignas(64) float factors[kBlock + kStep] = {};
  const auto convert = [&](const float* from, const float* factor, Element* to) {
    store(to, V::mul(V::load(from), V::load(factor)), V::mul(V::load(from + V::width), V::load(factor + V::width)));
  };
  for (int64_t first = 0; first < k; first += kBlock) {
    const int64_t columns = k - first < kBlock ? k - first : kBlock;
    for (int64_t i = 0; i < columns; ++i) factors[i] = factor_of(first + i);
    const float* from = in + first;
    Element* to = out + first;
    for (int64_t r = 0; r < rows; ++r, from += lda, to += stride) {
      int64_t i = 0;
      for (; i + kStep <= columns; i += kStep) convert(from + i, factors + i, to + i);
      if (i == columns) continue;
      float tail[kStep] = {};
      Element converted[kStep];
      for (int64_t j = i; j < columns; ++j) tail[j - i] = from[j];
      convert(tail, factors + i, converted);
      for (int64_t j = i; j < columns; ++j) to[j] = converted[j - i];
    }
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = k; i < stride; ++i) out[r * stride + i] = 0;
}

void quantize_rows(const float* in, int64_t lda, int64_t rows, int64_t k, const float* gate, const CodeRule& rule, void* out) {
  const Vec highest = V::set(rule.highest);
  convert_rows(
      in, lda, rows, k, row_groups(k, V::group) * V::group, static_cast<V::Code*>(out),
      [&](int64_t i) { return rule.inverse_scales[i] * (gate ? gate[i] : 1.0f); },
      [&](V::Code* to, Vec x, Vec y) {
        V::store_codes(to, V::min_keep_nan(x, highest), V::min_keep_nan(y, highest), rule.lowest);
      });
}

template <class Set>
void bf16_rows(const float* in, int64_t lda, int64_t rows, int64_t k, const float* gate, void* out) {
  convert_rows(
      in, lda, rows, k, row_groups(k, 2) * 2, static_cast<uint16_t*>(out), [&](int64_t i) { return gate ? gate[i] : 1.0f; },
      [](uint16_t* to, Vec x, Vec y) { Set::store_bf16(to, x, y); });
}

void round_to_codes(float* x, int64_t pixels, int64_t channels, const CodeRule& rule) {
  const float* inverse = rule.inverse_scales;
  const Vec lowest = V::set(rule.lowest), highest = V::set(rule.highest);
  for (int64_t p = 0; p < pixels; ++p, x += channels) {
    int64_t i = 0;
    for (; i + V::width <= channels; i += V::width)
      V::store(x + i, to_code(V::load(x + i), V::load(inverse + i), lowest, highest));
    if (i == channels) continue;
    alignas(64) float tail[V::width] = {};
    for (int64_t j = i; j < channels; ++j) tail[j - i] = x[j];
    V::store(tail, to_code(V::load(tail), V::load(inverse + i), lowest, highest));
    for (int64_t j = i; j < channels; ++j) x[j] = tail[j - i];
  }
}

template <class Set>
constexpr KernelSet set_of(const char* name) {
  KernelSet set{name,      kPanel,  V::group,       gemm,          gemm_products<CodeProduct>, quantize_rows,
                nullptr,   nullptr, round_to_codes, depthwise_row, weighted_sum_row,           activation,
                scale_rows};
  if constexpr (Set::bf16) {
    set.bf16_rows = bf16_rows<Set>;
    set.gemm_bf16 = gemm_products<Bf16Product<Set>>;
  }
  return set;
}
constexpr KernelSet make_set(const char* name) { return set_of<V>(name); }

}  // namespace
}  // namespace cytodet
