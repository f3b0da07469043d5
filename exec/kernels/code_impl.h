// Kernel bodies on 8-bit codes, beside the float ones of f32_impl.h and under the same rules.
#include "exec/kernels/f32_impl.h"

namespace cytodet {
namespace {

// What a tile of sums of code products becomes. Pointers are at the tile's first row and column.
struct CodeEnd {
  const float* scales;
  TileEnd floats;
  const CodeRule* codes;
  int64_t column;  // of the tile in the whole result
};

template <Act act, int Rows, int Vectors>
inline void finish_codes(typename V::I (&acc)[Rows][Vectors], float* c, int64_t ldc, const CodeEnd& end) {
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

// Products of code pairs: b holds [pairs][panel][2].
template <Act act, int Rows, int Vectors>
inline void code_tile(const int16_t* a, int64_t lda, int64_t k, const int16_t* b, float* c, int64_t ldc, const CodeEnd& end) {
  typename V::I acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) acc[r][v] = V::izero();
  for (int64_t i = 0; i < k; i += 2) {
    typename V::I bv[Vectors];
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) bv[v] = V::iload(b + i * kPanel + v * 2 * V::width);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      typename V::I av = V::pair(a + r * lda + i);
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) acc[r][v] = V::dot(acc[r][v], av, bv[v]);
    }
  }
  finish_codes<act, Rows, Vectors>(acc, c, ldc, end);
}

template <Act act, int Rows, int Vectors>
inline void code_tiles(int64_t& m, int64_t rows, const int16_t* a, int64_t lda, const int16_t* b, float* c, int64_t ldc,
                       CodeEnd end) {
  const float* residual = end.floats.residual;
  for (; m + Rows <= rows; m += Rows) {
    if (residual) end.floats.residual = residual + m * end.floats.ldr;
    code_tile<act, Rows, Vectors>(a + m * lda, lda, lda, b, c + m * ldc, ldc, end);
  }
}

template <Act act, int Vectors>
inline void code_rows(int64_t rows, const int16_t* a, int64_t lda, const int16_t* b, float* c, int64_t ldc, const CodeEnd& end) {
  int64_t m = 0;
  code_tiles<act, V::code_rows, Vectors>(m, rows, a, lda, b, c, ldc, end);
  code_tiles<act, 4, Vectors>(m, rows, a, lda, b, c, ldc, end);
  code_tiles<act, 2, Vectors>(m, rows, a, lda, b, c, ldc, end);
  code_tiles<act, 1, Vectors>(m, rows, a, lda, b, c, ldc, end);
}

void gemm_codes(const int16_t* a, int64_t m, const CodeMatrix& b, int64_t first_panel, int64_t last_panel, float* c, int64_t ldc,
                const Epilogue& e) {
  with_act(e.act, [&]<Act act>() {
    const int64_t lda = code_stride(b.k);
    for (int64_t p = first_panel; p < last_panel; ++p) {
      const int64_t column = p * kPanel;
      const int valid = static_cast<int>(b.n - column < kPanel ? b.n - column : kPanel);
      const int columns = e.codes ? (valid > V::width ? kPanel : V::width) : valid;
      const TileEnd floats{e.bias + column, e.residual ? e.residual + column : nullptr, e.residual_stride, e.residual_first,
                           columns};
      const CodeEnd end{b.scales + column, floats, e.codes, column};
      if (columns > V::width)
        code_rows<act, 2>(m, a, lda, b.data + column * lda, c + column, ldc, end);
      else
        code_rows<act, 1>(m, a, lda, b.data + column * lda, c + column, ldc, end);
    }
  });
}

struct Floats {
  using Element = float;
  static Vec load(const float* p) { return V::load(p); }
};
template <class Set>
struct Halves {
  using Element = uint16_t;
  static Vec load(const uint16_t* p) { return Set::load_half(p); }
};

template <class Source>
inline void quantize_from(const typename Source::Element* in, int64_t lda, int64_t rows, int64_t k, const float* gate,
                          const CodeRule& rule, int16_t* out) {
  constexpr int64_t kBlock = 512;  // columns whose factors lie ready
  constexpr int kStep = 2 * V::width;
  alignas(64) float factors[kBlock + kStep] = {};
  const Vec highest = V::set(rule.highest);
  const auto code_vectors = [&](const typename Source::Element* from, const float* factor, int16_t* to) {
    V::store_codes(to, V::min_keep_nan(V::mul(Source::load(from), V::load(factor)), highest),
                   V::min_keep_nan(V::mul(Source::load(from + V::width), V::load(factor + V::width)), highest), rule.lowest);
  };
  for (int64_t first = 0; first < k; first += kBlock) {
    const int64_t columns = k - first < kBlock ? k - first : kBlock;
    for (int64_t i = 0; i < columns; ++i) factors[i] = rule.inverse_scales[first + i] * (gate ? gate[first + i] : 1.0f);
    const typename Source::Element* from = in + first;
    int16_t* to = out + first;
    for (int64_t r = 0; r < rows; ++r, from += lda, to += code_stride(k)) {
      int64_t i = 0;
      for (; i + kStep <= columns; i += kStep) code_vectors(from + i, factors + i, to + i);
      if (i == columns) continue;
      typename Source::Element tail[kStep] = {};
      int16_t codes[kStep];
      for (int64_t j = i; j < columns; ++j) tail[j - i] = from[j];
      code_vectors(tail, factors + i, codes);
      for (int64_t j = i; j < columns; ++j) to[j] = codes[j - i];
    }
  }
  if (k % 2)
    for (int64_t r = 0; r < rows; ++r) out[r * code_stride(k) + k] = 0;
}

template <class Set>
inline void quantize_halves(const uint16_t* in, int64_t lda, int64_t rows, int64_t k, const float* gate, const CodeRule& rule,
                            int16_t* out) {
  if constexpr (Set::halves) quantize_from<Halves<Set>>(in, lda, rows, k, gate, rule, out);
}

void quantize_rows(const void* in, bool half, int64_t lda, int64_t rows, int64_t k, const float* gate, const CodeRule& rule,
                   int16_t* out) {
  if (half)
    quantize_halves<V>(static_cast<const uint16_t*>(in), lda, rows, k, gate, rule, out);
  else
    quantize_from<Floats>(static_cast<const float*>(in), lda, rows, k, gate, rule, out);
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

constexpr KernelSet make_set(const char* name) {
  return {name,           V::halves,     kPanel,           gemm,       gemm_codes, quantize_rows,
          round_to_codes, depthwise_row, weighted_sum_row, activation, scale_rows};
}

}  // namespace
}  // namespace cytodet
