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

// out[n] = the sum of Count rows + first, or added to it.
template <int Count, bool Adds>
inline void add_bytes(const uint8_t* const* rows, int64_t n, float first, float* __restrict out) {
  const uint8_t* __restrict row[Count];
  for (int r = 0; r < Count; ++r) row[r] = rows[r];
  for (int64_t i = 0; i < n; ++i) {
    int32_t sum = 0;
#pragma GCC unroll 4
    for (int r = 0; r < Count; ++r) sum += row[r][i];
    out[i] = (Adds ? out[i] : first) + static_cast<float>(sum);
  }
}

void sum_q8(const uint8_t* const* rows, int count, int64_t n, float qmin, float* out) {
  const float first = static_cast<float>(count) * qmin;
  const auto add = [&]<bool Adds>(const uint8_t* const* some, int left) {
    return left >= 3   ? (add_bytes<3, Adds>(some, n, first, out), 3)
           : left == 2 ? (add_bytes<2, Adds>(some, n, first, out), 2)
                       : (add_bytes<1, Adds>(some, n, first, out), 1);
  };
  for (int done = add.template operator()<false>(rows, count); done < count;)
    done += add.template operator()<true>(rows + done, count - done);
}

void average_pool_row(const PoolRow<float>& job, float scale) {
  const float row_share = scale / static_cast<float>(job.count);  // first, as where the rows are summed before (sum_q8)
  for (int64_t x = 0; x < job.width; ++x) {
    int64_t from, to;
    window_of(job, x, from, to);
    const Vec share = V::set(row_share / static_cast<float>(to - from));
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
