// Kernel bodies on 8-bit codes and on bfloat16 pairs, beside the float ones of f32_impl.h and under the same rules.
#include "exec/kernels/rows_impl.h"

namespace cytodet::exec {
namespace {

// What a tile of sums of products becomes. Pointers are at the tile's first row and column.
struct ProductEnd {
  TileEnd floats;
  const float* scales;    // of codes
  const int32_t* starts;  // of codes; null: sums start at 0
  CodedResults codes;     // of results that become codes
};

// The kinds of products: 4 bytes of a row, `group` elements, times as many of each column. Codes: V, or those of narrow matrices.
template <class Codes>
struct CodeProduct {
  using Set = Codes;
  using Matrix = CodeMatrix;
  using Element = Codes::Code;
  using Sum = V::I;
  static constexpr int group = Codes::group, blocks = Codes::blocks;
  static constexpr bool coded = true;
  static Sum start(const ProductEnd& end, int column) {
    if constexpr (group == 4) return V::iload(end.starts + column);
    return V::izero();
  }
  static Sum dot(Sum sum, V::I row, V::I column) { return Codes::dot(sum, row, column); }
  static ProductEnd end(const Matrix& b, const TileEnd& floats, const Epilogue& e, int64_t column) {
    ProductEnd end{floats, b.scales + column, group == 4 ? b.starts + column : nullptr, {}};
    if (!e.codes) return end;
    end.codes = *e.codes;
    for (const float** columns : {&end.codes.rule.inverse_scales, &end.codes.scales, &end.codes.bias}) *columns += column;
    for (const float*& columns : end.codes.curve) columns += column;
    return end;
  }
};
template <class Set>
struct Bf16Product {
  using Matrix = Bf16Matrix;
  using Element = uint16_t;
  using Sum = Vec;
  static constexpr int group = 2, blocks = 1;
  static constexpr bool coded = false;
  static Sum start(const ProductEnd& end, int column) { return V::load(end.floats.bias + column); }
  static Sum dot(Sum sum, V::I row, V::I column) { return Set::dot_bf16(sum, row, column); }
  static ProductEnd end(const Matrix&, const TileEnd& floats, const Epilogue&, int64_t) { return {floats, nullptr, nullptr, {}}; }
};

// Codes that are at most the highest, in rows of c.
template <class Set, int Rows>
inline void put_codes(const Vec (&x)[Rows], float* c, int64_t ldc, const CodedResults& codes) {
  if constexpr (Set::words) {
    const typename Set::WordByte byte(codes.rule.lowest, codes.byte);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) Set::merge_codes(reinterpret_cast<uint32_t*>(c) + r * ldc, x[r], byte);
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) V::store(c + r * ldc, V::round(x[r]));
  }
}

// The codes of quick_swish; of swish8_bounded they are not below the lowest.
template <class Set, Act act, int Rows>
inline void put_swish_codes(Vec (&x)[Rows], const Vec (&curve)[4], float* c, int64_t ldc, const CodedResults& codes) {
  const float lowest = codes.rule.lowest, highest = codes.rule.highest;
  if constexpr (Set::words) {
    // The low bits of numbers near 1.5 * 2^23 are whole numbers.
    constexpr float whole = 12582912.0f;
    const typename Set::WordByte byte(lowest, codes.byte);
    const Vec from = V::set(whole - lowest), to = V::set(whole - lowest + highest);
    if constexpr (act == Act::swish_small) {
      small_swish(x, curve);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) x[r] = V::add(x[r], from);
    } else {
      Vec sum[Rows];
      swish_quotient<act>(x, sum, curve[0]);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) x[r] = Set::coarse_quotient_plus(x[r], sum[r], from);
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      x[r] = V::min(x[r], to);
      if constexpr (act != Act::swish8_bounded) x[r] = V::max(x[r], V::set(whole));
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) Set::merge_bytes(reinterpret_cast<uint32_t*>(c) + r * ldc, Set::bits(x[r]), byte);
  } else {
    quick_swish<act>(x, curve);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      if constexpr (act != Act::swish8_bounded) x[r] = V::max(x[r], V::set(lowest));
      V::store(c + r * ldc, V::round(V::min(x[r], V::set(highest))));
    }
  }
}

// Sums of codes, to floats or (Coded) to codes.
template <Act act, bool Coded, int Rows, int Vectors>
inline void finish_product(typename V::I (&acc)[Rows][Vectors], float* c, int64_t ldc, const ProductEnd& end) {
  if constexpr (Coded) {
    constexpr bool in_units = act == Act::none || act == Act::relu || is_quick_swish(act);
    const Vec lowest = V::set(end.codes.rule.lowest), highest = V::set(end.codes.rule.highest);
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      const int at = v * V::width;
      const Vec scale = V::load((in_units ? end.codes.scales : end.scales) + at);
      const Vec bias = V::load((in_units ? end.codes.bias : end.floats.bias) + at);
      Vec x[Rows];
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) x[r] = V::fma(V::to_float(acc[r][v]), scale, bias);
      if constexpr (is_quick_swish(act)) {
        Vec curve[4];
        for (int i = 0; i < 4; ++i) curve[i] = V::load(end.codes.curve[i] + at);  // what is not read is not loaded
        put_swish_codes<V, act>(x, curve, c + at, ldc, end.codes);
      } else {
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          x[r] = activate<act>(x[r]);
          if constexpr (!in_units) x[r] = V::mul(x[r], V::load(end.codes.rule.inverse_scales + at));
          x[r] = V::min(V::max(x[r], lowest), highest);
        }
        put_codes<V>(x, c + at, ldc, end.codes);
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

// Products of `Blocks` groups, summed in 16 bits before they are added: of a narrow matrix, whose kNarrowRows are two groups.
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
  if constexpr (V::code_rows == 12 && Coded) {
    // What a tile's sums become waits for them: of small tiles the CPU works at two.
    product_tiles<P, act, Coded, 6, Vectors>(m, rows, a, lda, b, c, ldc, end);
  } else if constexpr (V::code_rows == 12) {
    // No tile of 4 rows where 8 and 8 will do.
    const int64_t most = rows % 12 == 4 && rows > 4 ? rows - 16 : rows;
    product_tiles<P, act, Coded, 12, Vectors>(m, most, a, lda, b, c, ldc, end);
    product_tiles<P, act, Coded, 8, Vectors>(m, rows, a, lda, b, c, ldc, end);
  } else {
    product_tiles<P, act, Coded, V::code_rows, Vectors>(m, rows, a, lda, b, c, ldc, end);
  }
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

struct Bf16 {
  uint16_t bits;
};

inline Vec load_numbers(const float* p) { return V::load(p); }
template <class Set = V>
inline Vec load_numbers(const uint16_t* p) {
  return Set::load_halves(p);
}
template <class Set = V>
inline Vec load_numbers(const Bf16* p) {
  return Set::load_bf16(p);
}

// out[rows][stride] of in[rows][lda], k columns of each and then `zeros` zeros, `Vectors` at a time: store(out + column, numbers
// times their factors).
template <int Vectors, class In, class Element, class Factor, class Store>
inline void convert_rows(const In* in, int64_t lda, int64_t rows, int64_t k, int64_t stride, int64_t zeros, Element* out,
                         Factor factor_of, Store store) {
  constexpr int64_t kBlock = 1536;  // columns whose factors lie ready
  constexpr int kStep = Vectors * V::width;
  alignas(64) float factors[kBlock + kStep] = {};
  const auto convert = [&](const In* from, const float* factor, Element* to) {
    Vec x[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) x[v] = V::mul(load_numbers(from + v * V::width), V::load(factor + v * V::width));
    store(to, x);
  };
  const auto convert_columns = [&](const In* from, int64_t columns, Element* to) {
    int64_t i = 0;
    for (; i + kStep <= columns; i += kStep) convert(from + i, factors + i, to + i);
    if (i == columns) return;
    In tail[kStep] = {};
    Element converted[kStep];
    for (int64_t j = i; j < columns; ++j) tail[j - i] = from[j];
    convert(tail, factors + i, converted);
    for (int64_t j = i; j < columns; ++j) to[j] = converted[j - i];
  };
  if (rows > 1 && lda == k && stride == k && 2 * k <= kBlock) {
    // Short rows without gaps: as many as have whole vectors are one.
    int64_t joined = 1;
    while (joined * k % kStep != 0) joined *= 2;
    while (joined < rows && 2 * joined * k <= kBlock) joined *= 2;
    if (joined * k <= kBlock) {
      for (int64_t i = 0; i < joined * k; ++i) factors[i] = i < k ? factor_of(i) : factors[i - k];
      for (int64_t r = 0; r < rows; r += joined)
        convert_columns(in + r * k, (rows - r < joined ? rows - r : joined) * k, out + r * k);
      return;
    }
  }
  for (int64_t first = 0; first < k; first += kBlock) {
    const int64_t columns = k - first < kBlock ? k - first : kBlock;
    for (int64_t i = 0; i < columns; ++i) factors[i] = factor_of(first + i);
    for (int64_t r = 0; r < rows; ++r) convert_columns(in + r * lda + first, columns, out + r * stride + first);
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = k; i < k + zeros; ++i) out[r * stride + i] = 0;
}

// Of numbers in[i] * unit.
template <class Codes, class In>
void codes_of_numbers(const In* in, float unit, int64_t lda, int64_t rows, int64_t k, const float* gate, const CodeRule& rule,
                      void* out) {
  const Vec highest = V::set(rule.highest);
  const float lowest = rule.lowest;  // bytes may alias the rule
  constexpr int kVectors = Codes::vectors;
  const int64_t stride = row_groups(k, Codes::group) * Codes::group;
  convert_rows<kVectors>(
      in, lda, rows, k, stride, stride - k, static_cast<Codes::Code*>(out),
      [&](int64_t i) { return rule.inverse_scales[i] * (gate ? gate[i] : 1.0f) * unit; },
      [&](Codes::Code* to, Vec(&x)[kVectors]) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) x[v] = V::min_keep_nan(x[v], highest);
        Codes::store_codes(to, x, lowest);
      });
}

template <class Codes>
void quantize_rows(const float* in, int64_t lda, int64_t rows, int64_t k, const float* gate, const CodeRule& rule, void* out) {
  codes_of_numbers<Codes>(in, 1, lda, rows, k, gate, rule, out);
}
template <class Codes>
void rows_of_halves(const Halves& in, int64_t lda, int64_t rows, int64_t k, const float* gate, const CodeRule& rule, void* out) {
  codes_of_numbers<Codes>(in.data, in.unit, lda, rows, k, gate, rule, out);
}

template <class Codes>
void rows_of_codes(const uint8_t* in, int64_t rows, int64_t k, float lowest, void* out) {
  const int64_t stride = row_groups(k, Codes::group) * Codes::group;
  const int first = Codes::group == 4 ? 0 : static_cast<int>(lowest);  // bytes of rows count from the lowest code as well
  auto* to = static_cast<Codes::Code*>(out);
  for (int64_t r = 0; r < rows; ++r, in += k, to += stride) {
    for (int64_t i = 0; i < k; ++i) to[i] = static_cast<Codes::Code>(in[i] + first);
    for (int64_t i = k; i < stride; ++i) to[i] = 0;
  }
}

template <class Set>
void codes_of_rows(const float* in, int64_t lda, int64_t rows, int64_t k, const CodeRule& rule, uint8_t* out, int64_t ldo) {
  const Vec highest = V::set(rule.highest);
  const float lowest = rule.lowest;  // bytes may alias the rule
  const auto factor_of = [&](int64_t i) { return rule.inverse_scales[i]; };
  if constexpr (Set::words) {
    convert_rows<Set::vectors>(in, lda, rows, k, ldo, 0, out, factor_of, [&](uint8_t* to, Vec(&x)[Set::vectors]) {
#pragma GCC unroll 4
      for (int v = 0; v < Set::vectors; ++v) x[v] = V::min_keep_nan(x[v], highest);
      Set::store_codes(to, x, lowest);
    });
  } else {
    convert_rows<2>(in, lda, rows, k, ldo, 0, out, factor_of, [&](uint8_t* to, const Vec(&x)[2]) {
      V::store_bytes(to, V::min_keep_nan(x[0], highest), V::min_keep_nan(x[1], highest), lowest);
    });
  }
}

void floats_of_codes(const uint8_t* in, int64_t n, float lowest, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(in[i]) + lowest;
}

// out[rows][ldo] of in[rows][lda], k columns of each and then `zeros` zeros.
template <class Set, class In>
void bf16_of_numbers(const In* in, int64_t lda, int64_t rows, int64_t k, const float* gate, int64_t zeros, uint16_t* out,
                     int64_t ldo) {
  convert_rows<2>(
      in, lda, rows, k, ldo, zeros, out, [&](int64_t i) { return gate ? gate[i] : 1.0f; },
      [](uint16_t* to, const Vec(&x)[2]) { Set::store_bf16(to, x[0], x[1]); });
}

template <class Set>
void bf16_rows(const float* in, int64_t lda, int64_t rows, int64_t k, const float* gate, void* out) {
  bf16_of_numbers<Set>(in, lda, rows, k, gate, k % 2, static_cast<uint16_t*>(out), row_groups(k, 2) * 2);
}
template <class Set>
void rows_of_bf16(const uint16_t* in, int64_t rows, int64_t k, const float* gate, void* out) {
  bf16_of_numbers<Set>(reinterpret_cast<const Bf16*>(in), k, rows, k, gate, k % 2, static_cast<uint16_t*>(out),
                       row_groups(k, 2) * 2);
}
template <class Set>
void bf16_of_rows(const float* in, int64_t lda, int64_t rows, int64_t k, uint16_t* out, int64_t ldo) {
  bf16_of_numbers<Set>(in, lda, rows, k, nullptr, 0, out, ldo);
}

template <class Set>
void floats_of_bf16(const uint16_t* in, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) V::store(out + i, Set::load_bf16(in + i));
  if (i == n) return;
  uint16_t tail[V::width] = {};
  for (int64_t j = i; j < n; ++j) tail[j - i] = in[j];
  V::store_some(out + i, Set::load_bf16(tail), static_cast<int>(n - i));
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

template <class Codes>
constexpr CodeKernels codes_of() {
  CodeKernels codes{Codes::group, gemm_products<CodeProduct<Codes>>, quantize_rows<Codes>, nullptr, rows_of_codes<Codes>};
  if constexpr (V::words) codes.rows_of_halves = rows_of_halves<Codes>;
  return codes;
}
template <class Set>
constexpr KernelSet set_of(const char* name) {
  KernelSet set{.name = name,
                .panel = kPanel,
                .codes = codes_of<Set>(),
                .narrow = {},
                .gemm = gemm,
                .gemm_bf16 = nullptr,
                .bf16_rows = nullptr,
                .rows_of_bf16 = nullptr,
                .bf16_of_rows = nullptr,
                .floats_of_bf16 = nullptr,
                .round_to_codes = round_to_codes,
                .codes_of_rows = codes_of_rows<Set>,
                .floats_of_codes = floats_of_codes,
                .depthwise_row = depthwise_row<Set>,
                .depthwise_words = nullptr,
                .words_of_floats = nullptr,
                .words_of_codes = nullptr,
                .fill_words = nullptr,
                .halves_of_rows = nullptr,
                .floats_of_halves = nullptr,
                .weighted_sum_row = weighted_sum_row,
                .product_row = product_row,
                .average_pool_row = average_pool_row,
                .bilinear_row = bilinear_row,
                .max_pool_row = max_pool_row,
                .max_pool_codes = max_pool_codes,
                .scale_rows = scale_rows};
  if constexpr (Set::words) {
    set.depthwise_words = depthwise_words<Set>;
    set.words_of_floats = words_of_floats<Set>;
    set.words_of_codes = words_of_codes<Set>;
    set.fill_words = fill_words<Set>;
    set.halves_of_rows = halves_of_rows<Set>;
    set.floats_of_halves = floats_of_halves<Set>;
  }
  if constexpr (requires { typename Set::Narrow; }) set.narrow = codes_of<typename Set::Narrow>();
  if constexpr (Set::bf16) {
    set.bf16_rows = bf16_rows<Set>;
    set.rows_of_bf16 = rows_of_bf16<Set>;
    set.bf16_of_rows = bf16_of_rows<Set>;
    set.floats_of_bf16 = floats_of_bf16<Set>;
    set.gemm_bf16 = gemm_products<Bf16Product<Set>>;
  }
  return set;
}
constexpr KernelSet make_set(const char* name) { return set_of<V>(name); }

}  // namespace
}  // namespace cytodet::exec
