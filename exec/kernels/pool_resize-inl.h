// Pooling windows and bilinear interpolation, an output row at a time.
#pragma once

#include "exec/kernels/channels-inl.h"
#include "exec/kernels/kernels.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// The columns [from, to) of its rows that output pixel x reads.
template <class T>
inline void window_of(const PoolRow<T>& job, int64_t x, int64_t& from, int64_t& to) {
  const int64_t left = x * job.stride - job.pad;
  from = left < 0 ? 0 : left;
  to = left + job.kernel_w < job.in_w ? left + job.kernel_w : job.in_w;
}

void max_pool_row(const PoolRow<float>& job) {
  for (int64_t x = 0; x < job.width; ++x) {
    int64_t from, to;
    window_of(job, x, from, to);
    for_channels(job.channels, [&](int64_t c, int columns) {
      Vec largest = V::set(-3.402823466e38f);
      for (int r = 0; r < job.count; ++r)
        for (int64_t i = from; i < to; ++i) largest = V::max(load_columns(job.rows[r] + i * job.channels + c, columns), largest);
      store_columns(job.out + x * job.channels + c, largest, columns);
    });
  }
}

// out[c] = the larger of it and in[c].
inline void max_of_bytes(uint8_t* __restrict out, const uint8_t* __restrict in, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) out[c] = in[c] > out[c] ? in[c] : out[c];
}

void max_pool_q8(const PoolRow<uint8_t>& job) {
  const int64_t channels = job.channels;  // copied, since stores of bytes may alias `job`
  for (int64_t x = 0; x < job.width; ++x) {
    int64_t from, to;
    window_of(job, x, from, to);
    uint8_t* out = job.out + x * channels;
    for (int64_t c = 0; c < channels; ++c) out[c] = 0;
    for (int r = 0; r < job.count; ++r)
      for (int64_t i = from; i < to; ++i) max_of_bytes(out, job.rows[r] + i * channels, channels);
  }
}

void average_pool_row(const PoolRow<float>& job, float scale) {
  for (int64_t x = 0; x < job.width; ++x) {
    int64_t from, to;
    window_of(job, x, from, to);
    const Vec share = V::set(scale / static_cast<float>(job.count * (to - from)));
    for_channels(job.channels, [&](int64_t c, int columns) {
      Vec sum = V::zero();
      for (int r = 0; r < job.count; ++r)
        for (int64_t i = from; i < to; ++i) sum = V::add(sum, load_columns(job.rows[r] + i * job.channels + c, columns));
      store_columns(job.out + x * job.channels + c, V::mul(sum, share), columns);
    });
  }
}

void bilinear_row(const BilinearRow& job) {
  const Vec down = V::set(job.share), factor = V::set(job.scale);
  for (int64_t x = 0; x < job.width; ++x) {
    const int64_t low = job.columns[x].low * job.channels, high = job.columns[x].high * job.channels;
    const Vec right = V::set(job.columns[x].share);
    for_channels(job.channels, [&](int64_t c, int columns) {
      const auto between = [&](const float* row) {
        const Vec left = load_columns(row + low + c, columns);
        return V::fma(V::sub(load_columns(row + high + c, columns), left), right, left);
      };
      const Vec top = between(job.top), y = V::fma(V::sub(between(job.bottom), top), down, top);
      store_columns(job.out + x * job.channels + c, V::mul(y, factor), columns);
    });
  }
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
