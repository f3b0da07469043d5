// Kernel bodies on 8-bit codes and on bfloat16 pairs, beside the float ones of f32_impl.h and under the same rules.
#include "exec/kernels/f32_impl.h"

namespace cytodet {
namespace {

// What a tile of sums of products becomes. Pointers are at the tile's first row and column.
struct ProductEnd {
  TileEnd floats;
  const float* scales;    // of codes
  const int32_t* starts;  // of codes; null: sums start at 0
  CodedResults codes;     // of results that become codes
};

// The two kinds of products: 4 bytes of a row, `group` elements, times as many of each column.
struct CodeProduct {
  using Matrix = CodeMatrix;
  using Element = V::Code;
  using Sum = V::I;
  static constexpr int group = V::group;
  static constexpr bool coded = true;
  static Sum start(const ProductEnd& end, int column) {
    if constexpr (group == 4) return V::iload(end.starts + column);
    return V::izero();
  }
  static Sum dot(Sum sum, V::I row, V::I column) { return V::dot(sum, row, column); }
  static ProductEnd end(const Matrix& b, const TileEnd& floats, const Epilogue& e, int64_t column) {
    ProductEnd end{floats, b.scales + column, group == 4 ? b.starts + column : nullptr, {}};
    if (!e.codes) return end;
    end.codes = *e.codes;
    for (const float** columns : {&end.codes.rule.inverse_scales, &end.codes.scales, &end.codes.bias, &end.codes.exponents})
      *columns += column;
    return end;
  }
};
template <class Set>
struct Bf16Product {
  using Matrix = Bf16Matrix;
  using Element = uint16_t;
  using Sum = Vec;
  static constexpr int group = 2;
  static constexpr bool coded = false;
  static Sum start(const ProductEnd& end, int column) { return V::load(end.floats.bias + column); }
  static Sum dot(Sum sum, V::I row, V::I column) { return Set::dot_bf16(sum, row, column); }
  static ProductEnd end(const Matrix&, const TileEnd& floats, const Epilogue&, int64_t) { return {floats, nullptr, nullptr, {}}; }
};

// Sums of codes, to floats or (Coded) to codes.
template <Act act, bool Coded, int Rows, int Vectors>
inline void finish_product(typename V::I (&acc)[Rows][Vectors], float* c, int64_t ldc, const ProductEnd& end) {
  if constexpr (Coded) {
    constexpr bool in_units = act == Act::none || act == Act::relu || act == Act::swish8_bounded;
    const Vec lowest = V::set(end.codes.rule.lowest), highest = V::set(end.codes.rule.highest);
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      const int at = v * V::width;
      const Vec scale = V::load((in_units ? end.codes.scales : end.scales) + at);
      const Vec bias = V::load((in_units ? end.codes.bias : end.floats.bias) + at);
      const Vec column = V::load((in_units ? end.codes.exponents : end.codes.rule.inverse_scales) + at);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const Vec x = V::fma(V::to_float(acc[r][v]), scale, bias);
        Vec y;
        if constexpr (act == Act::swish8_bounded)
          y = swish_bounded(x, column);
        else if constexpr (in_units)
          y = activate<act>(x);
        else
          y = V::mul(activate<act>(x), column);
        V::store(c + r * ldc + at, V::round(V::min(V::max(y, lowest), highest)));
      }
    }
  } else {
    Vec sums[Rows][Vectors];
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      const Vec scale = V::load(end.scales + v * V::width), bias = V::load(end.floats.bias + v * V::width);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) sums[r][v] = V::fma(V::to_float(acc[r][v]), scale, bias);
    }
    finish_tile<act, Rows, Vectors>(sums, c, ldc, end.floats);
  }
}
template <Act act, bool, int Rows, int Vectors>
inline void finish_product(Vec (&acc)[Rows][Vectors], float* c, int64_t ldc, const ProductEnd& end) {
  finish_tile<act, Rows, Vectors>(acc, c, ldc, end.floats);
}

// b holds [groups][panel][group].
template <class P, Act act, bool Coded, int Rows, int Vectors>
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
  finish_product<act, Coded, Rows, Vectors>(acc, c, ldc, end);
}

template <class P, Act act, bool Coded, int Rows, int Vectors>
inline void product_tiles(int64_t& m, int64_t rows, const typename P::Element* a, int64_t lda, const typename P::Element* b,
                          float* c, int64_t ldc, ProductEnd end) {
  const float* residual = end.floats.residual;
  for (; m + Rows <= rows; m += Rows) {
    if (residual) end.floats.residual = residual + m * end.floats.ldr;
    product_tile<P, act, Coded, Rows, Vectors>(a + m * lda, lda, b, c + m * ldc, ldc, end);
  }
}

template <class P, Act act, bool Coded, int Vectors>
inline void product_rows(int64_t rows, const typename P::Element* a, int64_t lda, const typename P::Element* b, float* c,
                         int64_t ldc, const ProductEnd& end) {
  int64_t m = 0;
  product_tiles<P, act, Coded, V::code_rows, Vectors>(m, rows, a, lda, b, c, ldc, end);
  product_tiles<P, act, Coded, 4, Vectors>(m, rows, a, lda, b, c, ldc, end);
  product_tiles<P, act, Coded, 2, Vectors>(m, rows, a, lda, b, c, ldc, end);
  product_tiles<P, act, Coded, 1, Vectors>(m, rows, a, lda, b, c, ldc, end);
}

template <class P, Act act, bool Coded>
void gemm_panels(const typename P::Element* a, int64_t m, const typename P::Matrix& b, int64_t first_panel, int64_t last_panel,
                 float* c, int64_t ldc, const Epilogue& e) {
  const int64_t lda = row_groups(b.k, P::group) * P::group;
  for (int64_t p = first_panel; p < last_panel; ++p) {
    const int64_t column = p * kPanel;
    const int valid = static_cast<int>(b.n - column < kPanel ? b.n - column : kPanel);
    const int columns = Coded ? (valid > V::width ? kPanel : V::width) : valid;
    const TileEnd floats{e.bias + column, e.residual ? e.residual + column : nullptr, e.residual_stride, e.residual_first,
                         columns};
    const ProductEnd end = P::end(b, floats, e, column);
    const auto* panel = static_cast<const typename P::Element*>(b.data) + column * lda;
    if (columns > V::width)
      product_rows<P, act, Coded, 2>(m, a, lda, panel, c + column, ldc, end);
    else
      product_rows<P, act, Coded, 1>(m, a, lda, panel, c + column, ldc, end);
  }
}

template <class P>
void gemm_products(const void* rows, int64_t m, const typename P::Matrix& b, int64_t first_panel, int64_t last_panel, float* c,
                   int64_t ldc, const Epilogue& e) {
  const auto* a = static_cast<const typename P::Element*>(rows);
  with_act(e.act, [&]<Act act>() {
    if (e.codes)
      gemm_panels<P, act, P::coded>(a, m, b, first_panel, last_panel, c, ldc, e);
    else
      gemm_panels<P, act, false>(a, m, b, first_panel, last_panel, c, ldc, e);
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

void round_to_codes(const float* in, float* out, int64_t pixels, int64_t channels, const CodeRule& rule) {
  const float* inverse = rule.inverse_scales;
  const Vec lowest = V::set(rule.lowest), highest = V::set(rule.highest);
  for (int64_t p = 0; p < pixels; ++p, in += channels, out += channels) {
    int64_t i = 0;
    for (; i + V::width <= channels; i += V::width)
      V::store(out + i, to_code(V::load(in + i), V::load(inverse + i), lowest, highest));
    if (i == channels) continue;
    alignas(64) float tail[V::width] = {};
    for (int64_t j = i; j < channels; ++j) tail[j - i] = in[j];
    V::store(tail, to_code(V::load(tail), V::load(inverse + i), lowest, highest));
    for (int64_t j = i; j < channels; ++j) out[j] = tail[j - i];
  }
}

template <class Set>
constexpr KernelSet set_of(const char* name) {
  KernelSet set{name,       kPanel,    V::group,       gemm,          gemm_products<CodeProduct>, quantize_rows,
                nullptr,    nullptr,   round_to_codes, depthwise_row, weighted_sum_row,           max_pool_row,
                activation, scale_rows};
  if constexpr (Set::bf16) {
    set.bf16_rows = bf16_rows<Set>;
    set.gemm_bf16 = gemm_products<Bf16Product<Set>>;
  }
  return set;
}
constexpr KernelSet make_set(const char* name) { return set_of<V>(name); }

}  // namespace
}  // namespace cytodet
