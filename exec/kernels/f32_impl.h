// Kernel bodies, written once over a vector type V (one per instruction set) and included by the f32_*.cpp files, which are
// compiled with their own target flags. Everything here has internal linkage and uses no standard library templates, so
// that no code for one instruction set can be linked into another.
#include <cstdint>

#include "exec/kernels/kernels.h"

namespace cytodet::exec {

namespace {

using Vec = V::T;
constexpr int kPanel = 2 * V::width;

// 2^f on [-1/2, 1/2]: the minimax polynomial of degree 5 (relative error below 2e-7).
inline Vec exp2_of_fraction(Vec f) {
  Vec p = V::set(1.32764725e-3f);
  p = V::fma(p, f, V::set(9.67554096e-3f));
  p = V::fma(p, f, V::set(5.55071309e-2f));
  p = V::fma(p, f, V::set(2.40221202e-1f));
  p = V::fma(p, f, V::set(6.93146944e-1f));
  return V::fma(p, f, V::set(1.00000012f));
}

// 2^z; of sets without such an instruction for |z| <= 126, what is beyond as the end.
template <class Set = V>
inline Vec exp2(Vec z) {
  if constexpr (requires { Set::times_power(z, z); }) {
    const Vec n = V::round(z);
    return Set::times_power(exp2_of_fraction(V::sub(z, n)), n);
  } else {
    z = V::min(V::max(z, V::set(-126.0f)), V::set(126.0f));
    const Vec magic = V::set(12582912.0f), shifted = V::add(z, magic);
    return V::scale_by_power(exp2_of_fraction(V::sub(z, V::sub(shifted, magic))), shifted);
  }
}

inline Vec one_plus_exp_minus(Vec x) { return V::add(exp2(V::mul(x, V::set(-1.44269504f))), V::set(1.0f)); }

// x / (1 + 2^(x * exponent)) = x / sum, from x on; exponent is -log2(e) times the unit of x. Step by step over all of x, since
// the steps of one wait for each other. Coarse: with z = -x * exponent / 2 it is x * 2^z / (2^z + 2^-z), and floats whose bits
// are those of 1 and z * 2^23 are 2^z, linear between its whole powers. The errors of 2^z and 2^-z are nearly the same, so that
// of the quotient is small. Where |z| > 60 it is x or 0, of sizes up to 2^67. Fine: 2^n * p(f), p of degree 3 with the value and
// the slope of 2^f at 0, else its relative error at most 1.3e-4.
template <Act act, int N>
__attribute__((always_inline)) inline void swish_quotient(Vec (&x)[N], Vec (&sum)[N], Vec exponent) {
  if constexpr (act == Act::swish_fine) {
    const Vec magic = V::set(12582912.0f);
    Vec shifted[N], minus_f[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) shifted[i] = V::fma(x[i], exponent, magic);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) minus_f[i] = V::fnma(x[i], exponent, V::sub(shifted[i], magic));
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      Vec p = V::fnma(minus_f[i], V::set(0.05549126f), V::set(0.24212018f));
      p = V::fnma(minus_f[i], p, V::set(0.69314718f));
      sum[i] = V::fnma(minus_f[i], p, V::set(1.0f));
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) sum[i] = V::add(V::scale_by_power(sum[i], shifted[i]), V::set(1.0f));
  } else {
    constexpr int one = 1 << 23, most = 60 * one;
    const Vec steps = V::mul(exponent, V::set(-0.5f * one));
    V::I z[N];
    Vec up[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      const Vec powers = V::mul(x[i], steps);
      z[i] = V::to_int(act == Act::swish8_bounded ? powers : V::limit(powers, V::set(most)));
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) up[i] = V::linear_power(z[i]);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) sum[i] = V::add(up[i], V::linear_power_minus(z[i]));
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = V::mul(x[i], up[i]);
  }
}

// kSmallSwish, to x, which begins as half of the number.
template <int N>
__attribute__((always_inline)) inline void small_swish(Vec (&x)[N], const Vec (&k)[4]) {
  Vec s[N], p[N];
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) s[i] = V::mul(x[i], x[i]);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) p[i] = V::fma(s[i], k[3], k[2]);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) p[i] = V::fma(s[i], p[i], k[1]);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) p[i] = V::fma(s[i], p[i], k[0]);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) x[i] = V::fma(s[i], p[i], x[i]);
}

// Of numbers in the units of CodedResults::curve.
template <Act act, int N>
__attribute__((always_inline)) inline void quick_swish(Vec (&x)[N], const Vec (&curve)[4]) {
  if constexpr (act == Act::swish_small) {
    small_swish(x, curve);
  } else {
    Vec sum[N];
    swish_quotient<act>(x, sum, curve[0]);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = V::coarse_quotient(x[i], sum[i]);
  }
}

// Of numbers themselves.
template <Act act, int N>
__attribute__((always_inline)) inline void quick_swish(Vec (&x)[N]) {
  if constexpr (act == Act::swish_small) {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = V::mul(x[i], V::set(0.5f));
    quick_swish<act>(x, {V::set(kSmallSwish[0]), V::set(kSmallSwish[1]), V::set(kSmallSwish[2]), V::set(kSmallSwish[3])});
  } else {
    quick_swish<act>(x, {V::set(-1.44269504f)});
  }
}

constexpr bool is_quick_swish(Act act) {
  return act == Act::swish8 || act == Act::swish8_bounded || act == Act::swish_fine || act == Act::swish_small;
}

template <Act act>
inline Vec activate(Vec x) {
  if constexpr (is_quick_swish(act)) {
    Vec one[1] = {x};
    quick_swish<act>(one);
    return one[0];
  }
  if constexpr (act == Act::relu) return V::max_keep_nan(x, V::zero());
  if constexpr (act == Act::relu6) return V::min_keep_nan(V::max_keep_nan(x, V::zero()), V::set(6.0f));
  if constexpr (act == Act::sigmoid) return V::div(V::set(1.0f), V::keep_nan(one_plus_exp_minus(x), x));
  if constexpr (act == Act::swish) return V::div(x, one_plus_exp_minus(x));
  return x;
}

template <Act act, int N>
__attribute__((always_inline)) inline void activate_all(Vec (&x)[N]) {
  if constexpr (is_quick_swish(act)) {
    quick_swish<act>(x);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = activate<act>(x[i]);
  }
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
    case Act::swish8_bounded:
      body.template operator()<Act::swish8_bounded>();
      break;
    case Act::swish_fine:
      body.template operator()<Act::swish_fine>();
      break;
    case Act::swish_small:
      body.template operator()<Act::swish_small>();
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
  bool from_memory = false;  // of floats: nothing has read the rows yet, and they do not just stream by
};

inline Vec to_code(Vec x, Vec inverse_scale, Vec lowest, Vec highest) {
  // Not a number becomes the lowest code.
  return V::round(V::min(V::max(V::mul(x, inverse_scale), lowest), highest));
}

// Residual and activation on a tile's sums, and the store.
template <Act act, int Rows, int Vectors>
inline void finish_tile(Vec (&acc)[Rows][Vectors], float* c, int64_t ldc, const TileEnd& end) {
  // The last vector may be part of one.
  const int last = end.columns - (Vectors - 1) * V::width;
  const auto finish = [&](auto load, auto store) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const float* from = end.residual ? end.residual + r * end.ldr : nullptr;
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        Vec x = acc[r][v];
        if (from && end.residual_first) x = V::add(x, load(from + v * V::width, v));
        x = activate<act>(x);
        if (from && !end.residual_first) x = V::add(x, load(from + v * V::width, v));
        store(c + r * ldc + v * V::width, x, v);
      }
    }
  };
  if (last == V::width)
    finish([](const float* p, int) { return V::load(p); }, [](float* p, Vec x, int) { V::store(p, x); });
  else
    finish([&](const float* p, int v) { return v + 1 < Vectors ? V::load(p) : V::load_some(p, last); },
           [&](float* p, Vec x, int v) { v + 1 < Vectors ? V::store(p, x) : V::store_some(p, x, last); });
}

template <Act act, int Rows, int Vectors, bool FromMemory>
inline void gemm_tile(const float* a, int64_t lda, int64_t k, const float* b, float* c, int64_t ldc, const TileEnd& end) {
  Vec acc[Rows][Vectors];
  for (int v = 0; v < Vectors; ++v) {
    Vec start = V::load(end.bias + v * V::width);
    for (int r = 0; r < Rows; ++r) acc[r][v] = start;
  }
  // As many streams as the tile has rows are too many for the CPU to see what comes next: a line at a time.
  constexpr int64_t kLine = 16;
  for (int64_t i = 0; i < k;) {
    if constexpr (FromMemory)
      for (int r = 0; r < Rows; ++r) __builtin_prefetch(a + (Rows + r) * lda + i);
    const int64_t last = FromMemory && i + kLine < k ? i + kLine : k;
    for (; i < last; ++i) {
      Vec bv[Vectors];
      for (int v = 0; v < Vectors; ++v) bv[v] = V::load(b + i * kPanel + v * V::width);
      for (int r = 0; r < Rows; ++r) {
        Vec av = V::set(a[r * lda + i]);
        for (int v = 0; v < Vectors; ++v) acc[r][v] = V::fma(av, bv[v], acc[r][v]);
      }
    }
  }
  finish_tile<act, Rows, Vectors>(acc, c, ldc, end);
}

template <Act act, int Rows, int Vectors, bool FromMemory = false>
inline void gemm_tiles(int64_t& m, int64_t rows, const float* a, int64_t lda, int64_t k, const float* b, float* c, int64_t ldc,
                       TileEnd end) {
  const float* residual = end.residual;
  for (; m + Rows <= rows; m += Rows) {
    if (residual) end.residual = residual + m * end.ldr;
    gemm_tile<act, Rows, Vectors, FromMemory>(a + m * lda, lda, k, b, c + m * ldc, ldc, end);
  }
}

template <Act act, int Vectors>
inline void gemm_rows(int64_t rows, const float* a, int64_t lda, int64_t k, const float* b, float* c, int64_t ldc,
                      const TileEnd& end) {
  int64_t m = 0;
  if (end.from_memory) gemm_tiles<act, V::tile_rows, Vectors, true>(m, rows, a, lda, k, b, c, ldc, end);
  gemm_tiles<act, V::tile_rows, Vectors>(m, rows, a, lda, k, b, c, ldc, end);
  gemm_tiles<act, 4, Vectors>(m, rows, a, lda, k, b, c, ldc, end);
  gemm_tiles<act, 2, Vectors>(m, rows, a, lda, k, b, c, ldc, end);
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
      TileEnd end{e.bias + column,   e.residual ? e.residual + row * e.residual_stride + column : nullptr,
                  e.residual_stride, e.residual_first,
                  columns,           p == 0 && (b.k >= 64 || b.n > kPanel)};
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

// Results as bfloat16 numbers.
template <class Set>
struct Bf16Results {
  using Element = uint16_t;
  static void store(Element* p, Vec y) { Set::store_bf16(p, y); }
  static void store_some(Element* p, Vec y, int n) {
    Element whole[V::width];
    store(whole, y);
    for (int i = 0; i < n; ++i) p[i] = whole[i];
  }
};
struct FloatResults {
  using Element = float;
  static void store(float* p, Vec y) { V::store(p, y); }
  static void store_some(float* p, Vec y, int n) { V::store_some(p, y, n); }
};

// What a depthwise tile's sums become; `totals` are added to.
template <class Results, Act act, int Pixels, int Vectors>
__attribute__((always_inline)) inline void finish_depthwise(Vec (&acc)[Pixels][Vectors], const DepthwiseRow& job, int64_t x,
                                                            int first, Vec* totals) {
  const int left = job.channels - first;
  auto* out = static_cast<Results::Element*>(job.out) + x * job.out_stride + first;
  if (left >= Vectors * V::width) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      Vec y[Pixels];
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) y[p] = acc[p][v];
      activate_all<act>(y);
      Vec total = totals[v];
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) {
        total = V::add(total, y[p]);
        Results::store(out + p * job.out_stride + v * V::width, y[p]);
      }
      totals[v] = total;
    }
    return;
  }
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    const int some = left - v * V::width;
    if (some <= 0) return;
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) {
      const Vec y = activate<act>(acc[p][v]);
      totals[v] = V::add(totals[v], y);
      Results::store_some(out + p * job.out_stride + v * V::width, y, some < V::width ? some : V::width);
    }
  }
}

// Stride 1, no dilation: every input vector is read once for all the outputs that it touches; a row's taps lie in registers.
template <class Results, Act act, int KernelW, int Pixels, int Vectors>
inline void depthwise_slide(const DepthwiseRow& job, int64_t x, int first, Vec* sums) {
  Vec acc[Pixels][Vectors];
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    const Vec start = V::load(job.bias + first + v * V::width);
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) acc[p][v] = start;
  }
  const float* w = job.weights + first;
  for (int ky = 0; ky < job.kernel_h; ++ky, w += KernelW * kPanel) {
    const float* in = job.rows[ky] + x * job.pixel_stride + first;
    Vec taps[KernelW][Vectors];
#pragma GCC unroll 5
    for (int kx = 0; kx < KernelW; ++kx)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) taps[kx][v] = V::load(w + kx * kPanel + v * V::width);
#pragma GCC unroll 16
    for (int column = 0; column < Pixels + KernelW - 1; ++column)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        const Vec pixel = V::load(in + column * job.pixel_stride + v * V::width);
#pragma GCC unroll 5
        for (int kx = 0; kx < KernelW; ++kx)
          if (column - kx >= 0 && column - kx < Pixels) acc[column - kx][v] = V::fma(taps[kx][v], pixel, acc[column - kx][v]);
      }
  }
  finish_depthwise<Results, act, Pixels, Vectors>(acc, job, x, first, sums);
}

// KernelW: taps of a row, known when compiled (0: any).
template <class Results, Act act, int KernelW, int Pixels, int Vectors>
inline void depthwise_tile(const DepthwiseRow& job, int64_t x, Vec* sums) {
  Vec acc[Pixels][Vectors];
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    const Vec start = V::load(job.bias + v * V::width);
#pragma GCC unroll 16
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
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        const Vec tap = V::load(w + v * V::width);
#pragma GCC unroll 16
        for (int p = 0; p < Pixels; ++p) acc[p][v] = V::fma(tap, V::load(in + p * step + v * V::width), acc[p][v]);
      }
  }
  finish_depthwise<Results, act, Pixels, Vectors>(acc, job, x, 0, sums);
}

template <class Results, Act act, int KernelW, int Vectors>
inline void depthwise_pixels(const DepthwiseRow& job) {
  constexpr int kPixels = V::tile_rows >= 12 ? 8 : 4;
  Vec sums[Vectors];
  for (int v = 0; v < Vectors; ++v) sums[v] = V::zero();
  int64_t x = 0;
  if constexpr (KernelW > 0)
    if (job.stride == 1 && job.dilation == 1) {
      // As many registers as there are: accumulators, taps and one pixel.
      constexpr bool kBoth = KernelW == 3 || V::tile_rows >= 12;
      constexpr int kBlock = kBoth ? kPixels : 2 * kPixels;
      for (; x + kBlock <= job.width; x += kBlock)
        if constexpr (kBoth)
          depthwise_slide<Results, act, KernelW, kBlock, Vectors>(job, x, 0, sums);
        else
          for (int v = 0; v < Vectors; ++v) depthwise_slide<Results, act, KernelW, kBlock, 1>(job, x, v * V::width, sums + v);
    }
  for (; x + kPixels <= job.width; x += kPixels) depthwise_tile<Results, act, KernelW, kPixels, Vectors>(job, x, sums);
  for (; x < job.width; ++x) depthwise_tile<Results, act, KernelW, 1, Vectors>(job, x, sums);
  if (job.sums)
    for (int v = 0; v < Vectors; ++v) V::store(job.sums + v * V::width, V::add(V::load(job.sums + v * V::width), sums[v]));
}

template <class Results, Act act, int Vectors>
inline void depthwise_taps(const DepthwiseRow& job) {
  switch (job.kernel_w) {
    case 3:
      depthwise_pixels<Results, act, 3, Vectors>(job);
      break;
    case 5:
      depthwise_pixels<Results, act, 5, Vectors>(job);
      break;
    default:
      depthwise_pixels<Results, act, 0, Vectors>(job);
      break;
  }
}

template <class Results>
void depthwise_results(const DepthwiseRow& job) {
  with_act(job.act, [&]<Act act>() {
    if (job.channels > V::width)
      depthwise_taps<Results, act, 2>(job);
    else
      depthwise_taps<Results, act, 1>(job);
  });
}

template <class Set>
void depthwise_row(const DepthwiseRow& job) {
  if constexpr (Set::bf16)
    if (job.form == Form::bf16) return depthwise_results<Bf16Results<Set>>(job);
  depthwise_results<FloatResults>(job);
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

}  // namespace
}  // namespace cytodet::exec
