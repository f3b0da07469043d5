// Weighted sums and products of feature maps, a row at a time.
#pragma once

#include "exec/kernels/activation-inl.h"
#include "exec/kernels/channels-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

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
  with_act<false>(act, [&]<Act a>() {
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

void product_row(const float* a, const float* b, int64_t b_stride, float scale, float* out, int64_t pixels, int64_t channels) {
  const Vec factor = V::set(scale);
  for (int64_t p = 0; p < pixels; ++p, a += channels, b += b_stride, out += channels)
    for_channels(channels, [&](int64_t c, int columns) {
      store_columns(out + c, V::mul(V::mul(load_columns(a + c, columns), load_columns(b + c, columns)), factor), columns);
    });
}

// The lanes of a vector combined to one number: halves of it, until one is left.
template <class Combine>
inline float over_lanes(Vec x, Combine combine) {
  alignas(64) float lanes[2 * V::width];
  V::store(lanes, x);
  V::store(lanes + V::width, x);
#pragma GCC unroll 4
  for (int half = V::width / 2; half > 0; half /= 2) {
    const Vec both = combine(V::load(lanes), V::load(lanes + half));
    V::store(lanes, both);
    V::store(lanes + V::width, both);
  }
  return lanes[0];
}

void exp_rows(float* a, int64_t lda, int64_t rows, int64_t n, float* inverse_sums) {
  const Vec log2e = V::set(1.44269504f);
  for (int64_t row = 0; row < rows; ++row, a += lda) {
    Vec most[2] = {V::load(a), V::load(a + V::width)};
    for (int64_t i = kPanel; i < n; i += kPanel)
      for (int v = 0; v < 2; ++v) most[v] = V::max_keep_nan(V::load(a + i + v * V::width), most[v]);
    const Vec largest = V::set(over_lanes(V::max_keep_nan(most[0], most[1]), [](Vec x, Vec y) { return V::max_keep_nan(x, y); }));
    Vec sums[2] = {V::zero(), V::zero()};
    for (int64_t i = 0; i < n; i += kPanel)
      for (int v = 0; v < 2; ++v) {
        const Vec x = V::sub(V::load(a + i + v * V::width), largest), y = V::keep_nan(exp2(V::mul(x, log2e)), x);
        V::store(a + i + v * V::width, y);
        sums[v] = V::add(sums[v], y);
      }
    inverse_sums[row] = 1.0f / over_lanes(V::add(sums[0], sums[1]), [](Vec x, Vec y) { return V::add(x, y); });
  }
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
