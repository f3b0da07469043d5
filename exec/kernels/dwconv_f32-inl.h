// Depthwise convolution of a row in float (DepthwiseRow).
#pragma once

#include "exec/kernels/activation-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// How results are stored: FloatResults, or Bf16Results of dwconv_bf16-inl.h.
struct FloatResults {
  using Element = float;
  static void store(float* p, Vec y) { V::store(p, y); }
  static void store_some(float* p, Vec y, int n) { V::store_some(p, y, n); }
};

// Applies the activation to a tile's sums, stores those of the first `pixels`, and adds them per channel to `totals`.
template <class Results, Act act, int Pixels, int Vectors>
__attribute__((always_inline)) inline void finish_depthwise(Vec (&acc)[Pixels][Vectors], const DepthwiseRow& job, int64_t x,
                                                            int64_t pixels, int first, Vec* totals) {
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
        if (p == pixels) break;
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
      if (p == pixels) break;
      const Vec y = activate<act>(acc[p][v]);
      totals[v] = V::add(totals[v], y);
      Results::store_some(out + p * job.out_stride + v * V::width, y, some < V::width ? some : V::width);
    }
  }
}

// A tile of stride 1 without dilation, of which the first `pixels` are wanted: every input vector is read once for all the
// outputs that it touches; a row's taps lie in registers.
template <class Results, Act act, int KernelW, int Pixels, int Vectors>
inline void depthwise_slide(const DepthwiseRow& job, int64_t x, int64_t pixels, int first, Vec* sums) {
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
#pragma GCC unroll 7
    for (int kx = 0; kx < KernelW; ++kx)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) taps[kx][v] = V::load(w + kx * kPanel + v * V::width);
#pragma GCC unroll 16
    for (int column = 0; column < Pixels + KernelW - 1; ++column)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        const Vec pixel = V::load(in + column * job.pixel_stride + v * V::width);
#pragma GCC unroll 7
        for (int kx = 0; kx < KernelW; ++kx)
          if (column - kx >= 0 && column - kx < Pixels) acc[column - kx][v] = V::fma(taps[kx][v], pixel, acc[column - kx][v]);
      }
  }
  finish_depthwise<Results, act, Pixels, Vectors>(acc, job, x, pixels, first, sums);
}

// A tile of any stride and dilation, of which the first `pixels` are wanted. KernelW: taps of a row, known when compiled (0:
// any).
template <class Results, Act act, int KernelW, int Pixels, int Vectors>
inline void depthwise_tile(const DepthwiseRow& job, int64_t x, int64_t pixels, Vec* sums) {
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
#pragma GCC unroll 7
    for (int kx = 0; kx < taps; ++kx, in += tap_step, w += kPanel)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        const Vec tap = V::load(w + v * V::width);
#pragma GCC unroll 16
        for (int p = 0; p < Pixels; ++p) acc[p][v] = V::fma(tap, V::load(in + p * step + v * V::width), acc[p][v]);
      }
  }
  finish_depthwise<Results, act, Pixels, Vectors>(acc, job, x, pixels, 0, sums);
}

constexpr int kDepthwisePixels = V::f32_tile_rows >= 12 ? 8 : 4;

// A row of stride 1 without dilation, in tiles that take as many registers as there are: accumulators, taps and one pixel.
template <class Results, Act act, int KernelW, int Vectors>
inline void depthwise_slides(const DepthwiseRow& job, Vec* sums) {
  constexpr bool kBoth = KernelW == 3 || V::f32_tile_rows >= 12;  // vectors of the panel at once
  constexpr int kBlock = kBoth ? kDepthwisePixels : 2 * kDepthwisePixels;
  for (int64_t x = 0; x < job.width; x += kBlock)
    if constexpr (kBoth)
      depthwise_slide<Results, act, KernelW, kBlock, Vectors>(job, x, job.width - x, 0, sums);
    else
      for (int v = 0; v < Vectors; ++v)
        depthwise_slide<Results, act, KernelW, kBlock, 1>(job, x, job.width - x, v * V::width, sums + v);
}

template <class Results, Act act, int KernelW, int Vectors>
inline void depthwise_tiles(const DepthwiseRow& job, Vec* sums) {
  for (int64_t x = 0; x < job.width; x += kDepthwisePixels)
    depthwise_tile<Results, act, KernelW, kDepthwisePixels, Vectors>(job, x, job.width - x, sums);
}

template <class Results, Act act, int KernelW, int Vectors>
inline void depthwise_pixels(const DepthwiseRow& job) {
  Vec sums[Vectors];
  for (int v = 0; v < Vectors; ++v) sums[v] = V::zero();
  auto* run = depthwise_tiles<Results, act, KernelW, Vectors>;
  if constexpr (KernelW > 0)
    if (job.stride == 1 && job.dilation == 1) run = depthwise_slides<Results, act, KernelW, Vectors>;
  run(job, sums);
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
    case 7:
      depthwise_pixels<Results, act, 7, Vectors>(job);
      break;
    default:
      depthwise_pixels<Results, act, 0, Vectors>(job);
      break;
  }
}

template <class Results>
void depthwise_results(const DepthwiseRow& job) {
  with_act<false>(job.act, [&]<Act act>() {
    if (job.channels > V::width)
      depthwise_taps<Results, act, 2>(job);
    else
      depthwise_taps<Results, act, 1>(job);
  });
}

inline void depthwise_row(const DepthwiseRow& job) { depthwise_results<FloatResults>(job); }

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
