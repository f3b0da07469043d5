// Kernel bodies, written once over a vector type V (one per instruction set) and included by the f32_*.cpp files, which are
// compiled with their own target flags. Everything here has internal linkage and uses no standard library templates, so
// that no code for one instruction set can be linked into another.
#include <cstdint>

#include "exec/kernels/kernels.h"

namespace cytodet {

extern const KernelSet kSse2Kernels, kAvx2Kernels, kAvx512Kernels, kAvx512VnniKernels;

namespace {

using Vec = V::T;
constexpr int kPanel = 2 * V::width;

// 2^z for |z| <= 126: 2^n * p(f), p the minimax polynomial of degree 5 on [-1/2, 1/2] (relative error below 2e-7).
inline Vec exp2_bounded(Vec z) {
  const Vec magic = V::set(12582912.0f);
  Vec shifted = V::add(z, magic);
  Vec f = V::sub(z, V::sub(shifted, magic));
  Vec p = V::set(1.32764725e-3f);
  p = V::fma(p, f, V::set(9.67554096e-3f));
  p = V::fma(p, f, V::set(5.55071309e-2f));
  p = V::fma(p, f, V::set(2.40221202e-1f));
  p = V::fma(p, f, V::set(6.93146944e-1f));
  p = V::fma(p, f, V::set(1.00000012f));
  return V::scale_by_power(p, shifted);
}

inline Vec one_plus_exp_minus(Vec x) {
  Vec z = V::mul(x, V::set(-1.44269504f));
  z = V::min(V::max(z, V::set(-126.0f)), V::set(126.0f));
  return V::add(exp2_bounded(z), V::set(1.0f));
}

// 2^z to 1e-4, |z| <= 60: the minimax polynomial of degree 3.
inline Vec exp2_coarse(Vec z) {
  const Vec magic = V::set(12582912.0f);
  Vec shifted = V::add(z, magic);
  Vec f = V::sub(z, V::sub(shifted, magic));
  Vec p = V::fma(V::set(5.517166e-2f), f, V::set(2.4261114e-1f));
  p = V::fma(p, f, V::set(6.9326099e-1f));
  p = V::fma(p, f, V::set(9.9992807e-1f));
  return V::scale_by_power(p, shifted);
}

inline Vec swish8(Vec x) {
  Vec z = V::mul(x, V::set(-1.44269504f));
  z = V::min(V::max(z, V::set(-60.0f)), V::set(60.0f));
  Vec d = V::add(exp2_coarse(z), V::set(1.0f));
  // One step of Newton's method on the CPU's own estimate, so that CPUs agree.
  Vec r = V::reciprocal_estimate(d);
  r = V::mul(r, V::sub(V::set(2.0f), V::mul(d, r)));
  return V::mul(x, r);
}

template <Act act>
inline Vec activate(Vec x) {
  if constexpr (act == Act::swish8) return swish8(x);
  if constexpr (act == Act::relu) return V::max_keep_nan(x, V::zero());
  if constexpr (act == Act::relu6) return V::min_keep_nan(V::max_keep_nan(x, V::zero()), V::set(6.0f));
  if constexpr (act == Act::sigmoid) return V::div(V::set(1.0f), V::keep_nan(one_plus_exp_minus(x), x));
  if constexpr (act == Act::swish) return V::div(x, one_plus_exp_minus(x));
  return x;
}

// Calls body.template operator()<act>() for the run-time act.
template <class Body>
inline void with_act(Act act, Body body) {
  switch (act) {
    case Act::none:
      body.template operator()<Act::none>();
      break;
    case Act::relu:
      body.template operator()<Act::relu>();
      break;
    case Act::relu6:
      body.template operator()<Act::relu6>();
      break;
    case Act::sigmoid:
      body.template operator()<Act::sigmoid>();
      break;
    case Act::swish:
      body.template operator()<Act::swish>();
      break;
    case Act::swish8:
      body.template operator()<Act::swish8>();
      break;
  }
}

// What a tile adds to its sums; pointers are at the tile's column 0.
struct TileEnd {
  const float* bias;
  const float* residual;
  int64_t ldr;
  bool residual_first;
  int columns;
  const CodeRule* codes = nullptr;
  int64_t column = 0;  // of the tile in the whole result; for codes
};

inline Vec to_code(Vec x, Vec inverse_scale, const CodeRule& rule) {
  // Not a number becomes the lowest code.
  return V::round(V::min(V::max(V::mul(x, inverse_scale), V::set(rule.lowest)), V::set(rule.highest)));
}

// Residual and activation on a tile's sums, and the store.
template <Act act, int Rows, int Vectors>
inline void finish_tile(Vec (&acc)[Rows][Vectors], float* c, int64_t ldc, const TileEnd& end) {
  const bool whole = end.columns == Vectors * V::width;
  for (int r = 0; r < Rows; ++r) {
    alignas(64) float tail[kPanel], add[kPanel];
    const float* from = end.residual ? end.residual + r * end.ldr : nullptr;
    if (from && !whole) {
      for (int j = 0; j < Vectors * V::width; ++j) add[j] = j < end.columns ? from[j] : 0.0f;
      from = add;
    }
    for (int v = 0; v < Vectors; ++v) {
      Vec x = acc[r][v];
      if (from && end.residual_first) x = V::add(x, V::load(from + v * V::width));
      x = activate<act>(x);
      if (from && !end.residual_first) x = V::add(x, V::load(from + v * V::width));
      if (end.codes) x = to_code(x, V::load(end.codes->inverse_scales + end.column + v * V::width), *end.codes);
      V::store(whole ? c + r * ldc + v * V::width : tail + v * V::width, x);
    }
    if (!whole)
      for (int j = 0; j < end.columns; ++j) c[r * ldc + j] = tail[j];
  }
}

template <Act act, int Rows, int Vectors>
inline void gemm_tile(const float* a, int64_t lda, int64_t k, const float* b, float* c, int64_t ldc, const TileEnd& end) {
  Vec acc[Rows][Vectors];
  for (int v = 0; v < Vectors; ++v) {
    Vec start = V::load(end.bias + v * V::width);
    for (int r = 0; r < Rows; ++r) acc[r][v] = start;
  }
  for (int64_t i = 0; i < k; ++i) {
    Vec bv[Vectors];
    for (int v = 0; v < Vectors; ++v) bv[v] = V::load(b + i * kPanel + v * V::width);
    for (int r = 0; r < Rows; ++r) {
      Vec av = V::set(a[r * lda + i]);
      for (int v = 0; v < Vectors; ++v) acc[r][v] = V::fma(av, bv[v], acc[r][v]);
    }
  }
  finish_tile<act, Rows, Vectors>(acc, c, ldc, end);
}

template <Act act, int Rows, int Vectors>
inline void gemm_tiles(int64_t& m, int64_t rows, const float* a, int64_t lda, int64_t k, const float* b, float* c, int64_t ldc,
                       TileEnd end) {
  const float* residual = end.residual;
  for (; m + Rows <= rows; m += Rows) {
    if (residual) end.residual = residual + m * end.ldr;
    gemm_tile<act, Rows, Vectors>(a + m * lda, lda, k, b, c + m * ldc, ldc, end);
  }
}

template <Act act, int Vectors>
inline void gemm_rows(int64_t rows, const float* a, int64_t lda, int64_t k, const float* b, float* c, int64_t ldc,
                      const TileEnd& end) {
  int64_t m = 0;
  gemm_tiles<act, V::tile_rows, Vectors>(m, rows, a, lda, k, b, c, ldc, end);
  gemm_tiles<act, 4, Vectors>(m, rows, a, lda, k, b, c, ldc, end);
  gemm_tiles<act, 1, Vectors>(m, rows, a, lda, k, b, c, ldc, end);
}

template <Act act>
void gemm_act(const float* a, int64_t lda, int64_t m, const PanelMatrix& b, int64_t first_panel, int64_t last_panel, float* c,
              int64_t ldc, const Epilogue& e) {
  int64_t block = 128 * 1024 / 4 / (b.k > 0 ? b.k : 1);
  block = block < V::tile_rows * 2 ? V::tile_rows * 2 : block / V::tile_rows * V::tile_rows;
  for (int64_t row = 0; row < m; row += block) {
    int64_t rows = m - row < block ? m - row : block;
    for (int64_t p = first_panel; p < last_panel; ++p) {
      int64_t column = p * kPanel;
      int columns = static_cast<int>(b.n - column < kPanel ? b.n - column : kPanel);
      TileEnd end{e.bias + column, e.residual ? e.residual + row * e.residual_stride + column : nullptr, e.residual_stride,
                  e.residual_first, columns};
      const float* panel = b.data + column * b.k;
      if (columns > V::width)
        gemm_rows<act, 2>(rows, a + row * lda, lda, b.k, panel, c + row * ldc + column, ldc, end);
      else
        gemm_rows<act, 1>(rows, a + row * lda, lda, b.k, panel, c + row * ldc + column, ldc, end);
    }
  }
}

void gemm(const float* a, int64_t lda, int64_t m, const PanelMatrix& b, int64_t first_panel, int64_t last_panel, float* c,
          int64_t ldc, const Epilogue& e) {
  with_act(e.act, [&]<Act act>() { gemm_act<act>(a, lda, m, b, first_panel, last_panel, c, ldc, e); });
}

// Products of code pairs: b holds [pairs][panel][2].
template <Act act, int Rows, int Vectors>
inline void code_tile(const int16_t* a, int64_t lda, int64_t k, const int16_t* b, const float* scales, float* c, int64_t ldc,
                      const TileEnd& end) {
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
  Vec sums[Rows][Vectors];
#pragma GCC unroll 16
  for (int v = 0; v < Vectors; ++v) {
    Vec scale = V::load(scales + v * V::width), bias = V::load(end.bias + v * V::width);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) sums[r][v] = V::fma(V::to_float(acc[r][v]), scale, bias);
  }
  finish_tile<act, Rows, Vectors>(sums, c, ldc, end);
}

template <Act act, int Rows, int Vectors>
inline void code_tiles(int64_t& m, int64_t rows, const int16_t* a, int64_t lda, const int16_t* b, const float* scales, float* c,
                       int64_t ldc, TileEnd end) {
  const float* residual = end.residual;
  for (; m + Rows <= rows; m += Rows) {
    if (residual) end.residual = residual + m * end.ldr;
    code_tile<act, Rows, Vectors>(a + m * lda, lda, lda, b, scales, c + m * ldc, ldc, end);
  }
}

template <Act act, int Vectors>
inline void code_rows(int64_t rows, const int16_t* a, int64_t lda, const int16_t* b, const float* scales, float* c, int64_t ldc,
                      const TileEnd& end) {
  int64_t m = 0;
  code_tiles<act, V::code_rows, Vectors>(m, rows, a, lda, b, scales, c, ldc, end);
  code_tiles<act, 1, Vectors>(m, rows, a, lda, b, scales, c, ldc, end);
}

void gemm_codes(const int16_t* a, int64_t m, const CodeMatrix& b, int64_t first_panel, int64_t last_panel, float* c, int64_t ldc,
                const Epilogue& e) {
  with_act(e.act, [&]<Act act>() {
    const int64_t lda = code_stride(b.k);
    for (int64_t p = first_panel; p < last_panel; ++p) {
      const int64_t column = p * kPanel;
      const int columns = static_cast<int>(b.n - column < kPanel ? b.n - column : kPanel);
      const TileEnd end{
          e.bias + column, e.residual ? e.residual + column : nullptr, e.residual_stride, e.residual_first, columns, e.codes,
          column};
      if (columns > V::width)
        code_rows<act, 2>(m, a, lda, b.data + column * lda, b.scales + column, c + column, ldc, end);
      else
        code_rows<act, 1>(m, a, lda, b.data + column * lda, b.scales + column, c + column, ldc, end);
    }
  });
}

void quantize_rows(const float* in, int64_t lda, int64_t rows, int64_t k, const float* gate, const CodeRule& rule, int16_t* out) {
  const float* inverse = rule.inverse_scales;
  for (int64_t r = 0; r < rows; ++r, in += lda, out += code_stride(k)) {
    int64_t i = 0;
    for (; i + V::width <= k; i += V::width) {
      Vec x = V::load(in + i);
      if (gate) x = V::mul(x, V::load(gate + i));
      V::store_codes(out + i, to_code(x, V::load(inverse + i), rule));
    }
    if (i < k) {
      alignas(64) float tail[V::width] = {};
      alignas(64) int16_t codes[V::width];
      for (int64_t j = i; j < k; ++j) tail[j - i] = gate ? in[j] * gate[j] : in[j];
      V::store_codes(codes, to_code(V::load(tail), V::load(inverse + i), rule));
      for (int64_t j = i; j < k; ++j) out[j] = codes[j - i];
    }
    if (k % 2) out[k] = 0;
  }
}

void round_to_codes(float* x, int64_t pixels, int64_t channels, const CodeRule& rule) {
  const float* inverse = rule.inverse_scales;
  for (int64_t p = 0; p < pixels; ++p, x += channels) {
    int64_t i = 0;
    for (; i + V::width <= channels; i += V::width) V::store(x + i, to_code(V::load(x + i), V::load(inverse + i), rule));
    if (i == channels) continue;
    alignas(64) float tail[V::width] = {};
    for (int64_t j = i; j < channels; ++j) tail[j - i] = x[j];
    V::store(tail, to_code(V::load(tail), V::load(inverse + i), rule));
    for (int64_t j = i; j < channels; ++j) x[j] = tail[j - i];
  }
}

// KernelW: taps of a row, known when compiled (0: any).
template <Act act, int KernelW, int Pixels, int Vectors>
inline void depthwise_tile(const DepthwiseRow& job, int64_t x, Vec* sums) {
  Vec acc[Pixels][Vectors];
  for (int v = 0; v < Vectors; ++v) {
    Vec start = V::load(job.bias + v * V::width);
    for (int p = 0; p < Pixels; ++p) acc[p][v] = start;
  }
  const int64_t step = job.stride * job.pixel_stride;
  const int64_t tap_step = job.dilation * job.pixel_stride;
  const int taps = KernelW ? KernelW : job.kernel_w;
  const float* w = job.weights;
  for (int ky = 0; ky < job.kernel_h; ++ky) {
    const float* in = job.rows[ky] + x * step;
#pragma GCC unroll 5
    for (int kx = 0; kx < taps; ++kx, in += tap_step, w += kPanel)
      for (int v = 0; v < Vectors; ++v) {
        Vec tap = V::load(w + v * V::width);
        for (int p = 0; p < Pixels; ++p) acc[p][v] = V::fma(tap, V::load(in + p * step + v * V::width), acc[p][v]);
      }
  }
  bool whole = job.channels == Vectors * V::width;
  for (int p = 0; p < Pixels; ++p) {
    float* out = job.out + (x + p) * job.out_stride;
    alignas(64) float tail[kPanel];
    for (int v = 0; v < Vectors; ++v) {
      Vec y = activate<act>(acc[p][v]);
      sums[v] = V::add(sums[v], y);
      V::store(whole ? out + v * V::width : tail + v * V::width, y);
    }
    if (!whole)
      for (int j = 0; j < job.channels; ++j) out[j] = tail[j];
  }
}

template <Act act, int KernelW, int Vectors>
inline void depthwise_pixels(const DepthwiseRow& job) {
  constexpr int kPixels = V::tile_rows >= 12 ? 8 : 4;
  Vec sums[Vectors];
  for (int v = 0; v < Vectors; ++v) sums[v] = V::zero();
  int64_t x = 0;
  for (; x + kPixels <= job.width; x += kPixels) depthwise_tile<act, KernelW, kPixels, Vectors>(job, x, sums);
  for (; x < job.width; ++x) depthwise_tile<act, KernelW, 1, Vectors>(job, x, sums);
  if (job.sums)
    for (int v = 0; v < Vectors; ++v) V::store(job.sums + v * V::width, V::add(V::load(job.sums + v * V::width), sums[v]));
}

template <Act act, int Vectors>
inline void depthwise_taps(const DepthwiseRow& job) {
  switch (job.kernel_w) {
    case 3:
      depthwise_pixels<act, 3, Vectors>(job);
      break;
    case 5:
      depthwise_pixels<act, 5, Vectors>(job);
      break;
    default:
      depthwise_pixels<act, 0, Vectors>(job);
      break;
  }
}

void depthwise_row(const DepthwiseRow& job) {
  with_act(job.act, [&]<Act act>() {
    if (job.channels > V::width)
      depthwise_taps<act, 2>(job);
    else
      depthwise_taps<act, 1>(job);
  });
}

template <Act act, int Count>
inline void weighted_pixels(const WeightedRow* in, float* out, int64_t width, int64_t channels) {
  Vec weights[Count];
  for (int i = 0; i < Count; ++i) weights[i] = V::set(in[i].weight);
  for (int64_t x = 0; x < width; ++x, out += channels) {
    const float* from[Count];
    for (int i = 0; i < Count; ++i) from[i] = in[i].data + (in[i].repeat == 1 ? x : x / in[i].repeat) * channels;
    int64_t c = 0;
    for (; c + V::width <= channels; c += V::width) {
      Vec sum = V::mul(V::load(from[0] + c), weights[0]);
      for (int i = 1; i < Count; ++i) sum = V::fma(V::load(from[i] + c), weights[i], sum);
      V::store(out + c, activate<act>(sum));
    }
    if (c < channels) {
      alignas(64) float tail[V::width] = {};
      for (int64_t j = c; j < channels; ++j) {
        float sum = from[0][j] * in[0].weight;
        for (int i = 1; i < Count; ++i) sum += from[i][j] * in[i].weight;
        tail[j - c] = sum;
      }
      V::store(tail, activate<act>(V::load(tail)));
      for (int64_t j = c; j < channels; ++j) out[j] = tail[j - c];
    }
  }
}

void weighted_sum_row(const WeightedRow* in, int count, Act act, float* out, int64_t width, int64_t channels) {
  with_act(act, [&]<Act a>() {
    switch (count) {
      case 1:
        weighted_pixels<a, 1>(in, out, width, channels);
        break;
      case 2:
        weighted_pixels<a, 2>(in, out, width, channels);
        break;
      case 3:
        weighted_pixels<a, 3>(in, out, width, channels);
        break;
      default:
        weighted_pixels<a, 4>(in, out, width, channels);
        break;
    }
  });
}

void activation(const float* in, float* out, int64_t n, Act act) {
  WeightedRow row{in, 1, 1};
  weighted_sum_row(&row, 1, act, out, 1, n);
}

void scale_rows(const PanelMatrix& b, const float* scale, float* out) {
  int64_t panels = (b.n + kPanel - 1) / kPanel;
  const float* in = b.data;
  for (int64_t p = 0; p < panels; ++p)
    for (int64_t i = 0; i < b.k; ++i, in += kPanel, out += kPanel) {
      Vec s = V::set(scale[i]);
      for (int v = 0; v < 2; ++v) V::store(out + v * V::width, V::mul(V::load(in + v * V::width), s));
    }
}

constexpr KernelSet make_set(const char* name) {
  return {name, kPanel, gemm, gemm_codes, quantize_rows, round_to_codes, depthwise_row, weighted_sum_row, activation, scale_rows};
}

}  // namespace
}  // namespace cytodet
