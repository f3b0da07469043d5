// Kernel bodies on rows of maps of floats, for the steps between convolutions, under the rules of f32_impl.h.
#include "exec/kernels/words_impl.h"

namespace cytodet::exec {
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

// Where the windows of output pixel x begin and end in their rows.
template <class T>
inline void window_of(const PoolRow<T>& job, int64_t x, int64_t& from, int64_t& to) {
  const int64_t left = x * job.stride - job.pad;
  from = left < 0 ? 0 : left;
  to = left + job.kernel_w < job.in_w ? left + job.kernel_w : job.in_w;
}

void max_pool_codes(const PoolRow<uint8_t>& job) {
  for (int64_t x = 0; x < job.width; ++x) {
    int64_t from, to;
    window_of(job, x, from, to);
    uint8_t* out = job.out + x * job.channels;
    for (int64_t c = 0; c < job.channels; ++c) out[c] = 0;
    for (int r = 0; r < job.count; ++r)
      for (int64_t i = from; i < to; ++i) {
        const uint8_t* in = job.rows[r] + i * job.channels;
        for (int64_t c = 0; c < job.channels; ++c) out[c] = in[c] > out[c] ? in[c] : out[c];
      }
  }
}

// put(c, columns) for each vector of channels; the last has fewer columns.
template <class Put>
__attribute__((always_inline)) inline void for_channels(int64_t channels, Put put) {
  int64_t c = 0;
  for (; c + V::width <= channels; c += V::width) put(c, V::width);
  if (c < channels) put(c, static_cast<int>(channels - c));
}
inline Vec load_columns(const float* p, int columns) { return columns == V::width ? V::load(p) : V::load_some(p, columns); }
inline void store_columns(float* p, Vec x, int columns) { columns == V::width ? V::store(p, x) : V::store_some(p, x, columns); }

void max_pool_row(const PoolRow<float>& job) {
  for (int64_t x = 0; x < job.width; ++x) {
    int64_t from, to;
    window_of(job, x, from, to);
    for_channels(job.channels, [&](int64_t c, int columns) {
      Vec most = V::set(-3.402823466e38f);
      for (int r = 0; r < job.count; ++r)
        for (int64_t i = from; i < to; ++i) most = V::max(load_columns(job.rows[r] + i * job.channels + c, columns), most);
      store_columns(job.out + x * job.channels + c, most, columns);
    });
  }
}

void product_row(const float* a, const float* b, int64_t b_stride, float scale, float* out, int64_t pixels, int64_t channels) {
  const Vec factor = V::set(scale);
  for (int64_t p = 0; p < pixels; ++p, a += channels, b += b_stride, out += channels)
    for_channels(channels, [&](int64_t c, int columns) {
      store_columns(out + c, V::mul(V::mul(load_columns(a + c, columns), load_columns(b + c, columns)), factor), columns);
    });
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
}  // namespace cytodet::exec
