// A row of a convolution of groups (GroupedRow): channels of a group are spread over the lanes of its results.
#pragma once

#include "exec/kernels/activation-inl.h"
#include "exec/kernels/channels-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// Lane l of the results belongs to group l / Group of the vector, whose element i lies in lane l / Group * Elements + i.
template <int Group, int Elements>
struct GroupLanes {
  alignas(64) int32_t at[Elements][V::width];
  constexpr GroupLanes() : at{} {
    for (int i = 0; i < Elements; ++i)
      for (int lane = 0; lane < V::width; ++lane) at[i][lane] = lane / Group * Elements + i;
  }
};

// Adds a tap of N pixels to their sums: in floats, weights [Group][width].
template <class Set, int Group, int N>
__attribute__((always_inline)) inline void add_tap(const float* const* pixels, int64_t c, int columns, const float* weights,
                                                   Vec (&sum)[N]) {
  if constexpr (Group == V::width) {
    for (int i = 0; i < Group; ++i) {
      const Vec w = V::load(weights + i * V::width);
#pragma GCC unroll 8
      for (int p = 0; p < N; ++p) sum[p] = V::fma(V::set(pixels[p][c + i]), w, sum[p]);
    }
  } else {
    static constexpr GroupLanes<Group, Group> lanes;
    Vec in[N];
#pragma GCC unroll 8
    for (int p = 0; p < N; ++p) in[p] = load_columns(pixels[p] + c, columns);
#pragma GCC unroll 16
    for (int i = 0; i < Group; ++i) {
      const Vec w = V::load(weights + i * V::width);
      const typename V::I from = V::iload(lanes.at[i]);
#pragma GCC unroll 8
      for (int p = 0; p < N; ++p) sum[p] = V::fma(Set::spread(in[p], from), w, sum[p]);
    }
  }
}

// Adds the products of one tap in bytes, [N][width] sums exact in 32 bits: weights [Group / 4][width][4].
template <class Set, int Group, int N>
__attribute__((always_inline)) inline void add_tap(const uint8_t* const* pixels, int64_t c, int, const int8_t* weights,
                                                   typename V::I (&sum)[N]) {
  static constexpr GroupLanes<Group, Group / 4> lanes;
  typename V::I in[N];
#pragma GCC unroll 8
  for (int p = 0; p < N; ++p) in[p] = Set::repeat_bytes(pixels[p] + c);
#pragma GCC unroll 4
  for (int i = 0; i < Group / 4; ++i) {
    const typename V::I w = V::iload(weights + i * 4 * V::width), from = V::iload(lanes.at[i]);
#pragma GCC unroll 8
    for (int p = 0; p < N; ++p) sum[p] = Set::dot(sum[p], Set::spread_bytes(in[p], from), w);
  }
}

template <int N>
inline void finish_grouped(Vec (&x)[N], Act act, float* out, int64_t stride, int columns) {
  with_act<true>(act, [&]<Act of>() { activate_all<of>(x); });
#pragma GCC unroll 8
  for (int p = 0; p < N; ++p) store_columns(out + p * stride, x[p], columns);
}

// Results [x, x + N) of a vector of channels from c on; `weights` are that vector's, of all taps.
template <class Set, int Group, int N>
inline void grouped_pixels(const GroupedRow<float>& job, int64_t x, int64_t c, int columns, const float* weights) {
  Vec sum[N];
  const Vec bias = V::load(job.bias + c);
#pragma GCC unroll 8
  for (int p = 0; p < N; ++p) sum[p] = bias;
  for (int tap = 0; tap < job.taps; ++tap, weights += Group * V::width)
    add_tap<Set, Group, N>(job.pixels + tap * job.width + x, c, columns, weights, sum);
  finish_grouped(sum, job.act, job.out + x * job.channels + c, job.channels, columns);
}
template <class Set, int Group, int N>
inline void grouped_pixels(const GroupedRow<uint8_t>& job, int64_t x, int64_t c, int columns, const int8_t* weights) {
  typename V::I sum[N];
  const typename V::I start = V::iload(job.zero_point_corrections + c);
#pragma GCC unroll 8
  for (int p = 0; p < N; ++p) sum[p] = start;
  for (int tap = 0; tap < job.taps; ++tap, weights += Group * V::width)
    add_tap<Set, Group, N>(job.pixels + tap * job.width + x, c, columns, weights, sum);
  const Vec scale = V::load(job.scales + c), bias = V::load(job.bias + c);
  Vec result[N];
#pragma GCC unroll 8
  for (int p = 0; p < N; ++p) result[p] = V::fma(V::to_float(sum[p]), scale, bias);
  finish_grouped(result, job.act, job.out + x * job.channels + c, job.channels, columns);
}

// All results of a vector of channels, N at a time; the last ones again where N does not divide their number.
template <class Set, int Group, int N, class T, class Weight>
inline void grouped_blocks(const GroupedRow<T>& job, int64_t c, int columns, const Weight* weights) {
  for (int64_t x = 0; x < job.width; x += N)
    grouped_pixels<Set, Group, N>(job, x + N <= job.width ? x : job.width - N, c, columns, weights);
}

template <class Set, int Group, class T, class Weight>
inline void grouped_vectors(const GroupedRow<T>& job, const Weight* weights) {
  for_channels(job.channels, [&](int64_t c, int columns) {
    const Weight* own = weights + c * job.taps * Group;
    if constexpr (V::f32_tile_rows >= 12)
      if (job.width >= 8) return grouped_blocks<Set, Group, 8>(job, c, columns, own);
    if (job.width >= 4)
      grouped_blocks<Set, Group, 4>(job, c, columns, own);
    else
      grouped_blocks<Set, Group, 1>(job, c, columns, own);
  });
}

template <class Set, class T, class Weight>
void grouped_row_of(const GroupedRow<T>& job, const Weight* weights) {
  if (job.group == 4) return grouped_vectors<Set, 4>(job, weights);
  if constexpr (V::width >= 8)
    if (job.group == 8) return grouped_vectors<Set, 8>(job, weights);
  if constexpr (V::width >= 16)
    if (job.group == 16) return grouped_vectors<Set, 16>(job, weights);
}

template <class Set>
void grouped_row(const GroupedRow<float>& job) {
  grouped_row_of<Set>(job, static_cast<const float*>(job.weights));
}
template <class Set>
void grouped_row_q8(const GroupedRow<uint8_t>& job) {
  grouped_row_of<Set>(job, static_cast<const int8_t*>(job.weights));
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
