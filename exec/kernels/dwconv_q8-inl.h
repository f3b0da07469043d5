// Depthwise convolution of packed4 rows (DepthwisePacked4), of sets that sum products of four bytes in 32 bits.
#pragma once

#include <type_traits>

#include "exec/kernels/activation-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// taps, for a window whose first row is not row 0 of the ring: rotated[kernel_w][quads][panel].
template <class Set>
inline void rotate_taps(const DepthwisePacked4& job, uint32_t* rotated) {
  const int column = job.quads * kPanel, quads_on = job.first_row / 4 * kPanel, bytes_on = job.first_row % 4;
  for (int kx = 0; kx < job.kernel_w; ++kx, rotated += column) {
    const uint32_t* taps = job.taps + int64_t{kx} * column;
    for (int i = 0; i < column; i += V::width) {
      const int from = i < quads_on ? i - quads_on + column : i - quads_on;
      const int before = from < kPanel ? from - kPanel + column : from - kPanel;
      Set::istore(rotated + i, Set::shift_bytes(V::iload(taps + from), V::iload(taps + before), bytes_on));
    }
  }
}

// Sums of Pixels output pixels of one vector of channels, taps in registers: every input vector is read once for all the outputs
// that it touches.
template <class Set, int KernelW, int Quads, int Stride, int Pixels>
inline void sum_packed4(const DepthwisePacked4& job, const uint32_t* taps, int64_t x, int first, int32_t* sums) {
  typename V::I acc[Pixels], tap[KernelW][Quads];
  const typename V::I start = V::iload(job.zero_point_corrections + first);
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) acc[p] = start;
#pragma GCC unroll 8
  for (int kx = 0; kx < KernelW; ++kx)
#pragma GCC unroll 2
    for (int q = 0; q < Quads; ++q) tap[kx][q] = V::iload(taps + (kx * Quads + q) * kPanel + first);
  const uint32_t* in = job.packed4 + x * Stride * job.pixel_stride + first;
#pragma GCC unroll 32
  for (int column = 0; column < (Pixels - 1) * Stride + KernelW; ++column)
#pragma GCC unroll 2
    for (int q = 0; q < Quads; ++q) {
      const typename V::I pixel = V::iload(in + column * job.pixel_stride + q * job.quad_stride);
#pragma GCC unroll 8
      for (int kx = 0; kx < KernelW; ++kx)
        if (column >= kx && (column - kx) % Stride == 0 && (column - kx) / Stride < Pixels)
          acc[(column - kx) / Stride] = Set::dot(acc[(column - kx) / Stride], pixel, tap[kx][q]);
    }
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) Set::istore(sums + p * kPanel + first, acc[p]);
}

// The sum of one output pixel, for any window.
template <class Set>
inline void sum_pixel(const DepthwisePacked4& job, const uint32_t* taps, int64_t x, int first, int32_t* sums) {
  typename V::I acc = V::iload(job.zero_point_corrections + first);
  const uint32_t* in = job.packed4 + x * job.stride * job.pixel_stride + first;
  for (int kx = 0; kx < job.kernel_w; ++kx, in += job.dilation * job.pixel_stride)
    for (int q = 0; q < job.quads; ++q)
      acc = Set::dot(acc, V::iload(in + q * job.quad_stride), V::iload(taps + (kx * job.quads + q) * kPanel + first));
  Set::istore(sums + first, acc);
}

// sums[pixels][panel] of the output pixels from x on, a vector of channels at a time. In blocks: sums of pixels behind the last
// one are written too.
template <class Set, int KernelW, int Quads, int Stride>
void sum_pixels(const DepthwisePacked4& job, const uint32_t* taps, int64_t x, int64_t pixels, int32_t* sums) {
  for (int first = 0; first < job.channels; first += V::width) {
    if constexpr (KernelW > 0) {
      for (int64_t p = 0; p < pixels; p += Set::packed4_pixels)
        sum_packed4<Set, KernelW, Quads, Stride, Set::packed4_pixels>(job, taps, x + p, first, sums + p * kPanel);
    } else {
      for (int64_t p = 0; p < pixels; ++p) sum_pixel<Set>(job, taps, x + p, first, sums + p * kPanel);
    }
  }
}

// Turns the sums of `pixels` pixels (sums of whole blocks are read) into results and stores them; `width` of the vector's
// channels are valid.
template <class Set, Act act, StorageType storage>
inline void finish_packed4(const DepthwisePacked4& job, int64_t x, int64_t pixels, int first, int width, const int32_t* sums) {
  constexpr int kPixels = 8;
  const Vec scale = V::load(job.scales + first), bias = V::load(job.bias + first);
  Vec inverse = V::zero(), qmax = V::zero();
  if constexpr (storage == StorageType::q8) inverse = V::load(job.quant.inverse_scales + first), qmax = V::set(job.quant.qmax);
  if constexpr (storage == StorageType::f16) inverse = V::set(1 / job.fp16_scale);
  const float qmin = job.quant.qmin;  // copied, since stores of bytes may alias `job`
  const int64_t stride = job.out_stride;
  using Element =
      std::conditional_t<storage == StorageType::f32, float, std::conditional_t<storage == StorageType::q8, uint8_t, uint16_t>>;
  auto* out = static_cast<Element*>(job.out) + x * stride + first;
  constexpr int kTotals = 4;  // additions that wait for each other are slow
  Vec totals[kTotals];
  for (Vec& t : totals) t = V::zero();
  const auto store = [&](Element* to, Vec y) {
    if constexpr (storage == StorageType::f32) V::store(to, y);
    if constexpr (storage == StorageType::f16) Set::store_f16(to, V::mul(y, inverse));
    if constexpr (storage == StorageType::bf16) Set::store_bf16(to, y);
    if constexpr (storage == StorageType::q8) Set::store_q8_bytes(to, V::min(V::mul(y, inverse), qmax), qmin);
  };
  // Computes N pixels and stores the first `wanted` of them.
  const auto finish = [&]<int N>(int64_t p, int64_t wanted, auto put) {
    Vec y[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) y[i] = V::fma(V::to_float(V::iload(sums + (p + i) * kPanel + first)), scale, bias);
    activate_all<act>(y);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      if (i == wanted) break;
      totals[i % kTotals] = V::add(totals[i % kTotals], y[i]);
      put(out + (p + i) * stride, y[i]);
    }
  };
  const auto put_some = [&](Element* to, Vec y) {
    Element whole[V::width];
    store(whole, y);
    for (int j = 0; j < width; ++j) to[j] = whole[j];
  };
  if (width == V::width)
    for (int64_t p = 0; p < pixels; p += kPixels) finish.template operator()<kPixels>(p, pixels - p, store);
  else
    for (int64_t p = 0; p < pixels; ++p) finish.template operator()<1>(p, 1, put_some);
  const Vec total = V::add(V::add(totals[0], totals[1]), V::add(totals[2], totals[3]));
  if (job.sums) V::store(job.sums + first, V::add(V::load(job.sums + first), total));
}

template <class Set, StorageType storage>
void depthwise_packed4_as(const DepthwisePacked4& job) {
  constexpr int64_t kChunk = 64;
  alignas(64) uint32_t rotated[kMaxPacked4Taps * (kMaxPacked4Taps / 4) * kPanel];
  alignas(64) int32_t sums[kChunk * kPanel];
  const uint32_t* taps = job.taps;
  if (job.first_row != 0) {
    rotate_taps<Set>(job, rotated);
    taps = rotated;
  }
  auto* sum = sum_pixels<Set, 0, 0, 0>;
  if (job.dilation == 1 && job.stride <= 2) {
    if (job.kernel_w == 3 && job.quads == 1) sum = job.stride == 1 ? sum_pixels<Set, 3, 1, 1> : sum_pixels<Set, 3, 1, 2>;
    if (job.kernel_w == 5 && job.quads == 2) sum = job.stride == 1 ? sum_pixels<Set, 5, 2, 1> : sum_pixels<Set, 5, 2, 2>;
  }
  with_act<false>(job.act, [&]<Act act>() {
    for (int64_t x = 0; x < job.width; x += kChunk) {
      const int64_t pixels = job.width - x < kChunk ? job.width - x : kChunk;
      sum(job, taps, x, pixels, sums);
      for (int first = 0; first < job.channels; first += V::width) {
        const int width = job.channels - first < V::width ? job.channels - first : V::width;
        finish_packed4<Set, act, storage>(job, x, pixels, first, width, sums);
      }
    }
  });
}

// Stores f32, f16 or 8-bit results; the form for bf16 results is in dwconv_bf16-inl.h.
template <class Set>
void depthwise_packed4(const DepthwisePacked4& job) {
  if (job.storage == StorageType::f16) return depthwise_packed4_as<Set, StorageType::f16>(job);
  if (job.storage == StorageType::q8) return depthwise_packed4_as<Set, StorageType::q8>(job);
  depthwise_packed4_as<Set, StorageType::f32>(job);
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
