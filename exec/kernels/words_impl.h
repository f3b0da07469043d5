// Kernel bodies on words of four rows of codes, of sets that have products of bytes summed in 32 bits; beside code_impl.h and
// under the same rules.
#include <type_traits>

#include "exec/kernels/f32_impl.h"

namespace cytodet::exec {
namespace {

// The taps of a window whose first row is not the first of its words: [kernel_w][quads][panel].
template <class Set>
inline void turn_taps(const DepthwiseWords& job, uint32_t* turned) {
  const int words = job.quads * kPanel, words_on = job.first_row / 4 * kPanel, bytes_on = job.first_row % 4;
  for (int kx = 0; kx < job.kernel_w; ++kx, turned += words) {
    const uint32_t* taps = job.taps + int64_t{kx} * words;
    for (int word = 0; word < words; word += V::width) {
      const int from = word < words_on ? word - words_on + words : word - words_on;
      const int before = from < kPanel ? from - kPanel + words : from - kPanel;
      Set::istore(turned + word, Set::shift_bytes(V::iload(taps + from), V::iload(taps + before), bytes_on));
    }
  }
}

// Sums of Pixels output pixels of one vector of channels, taps in registers: every word is read once for all that it touches.
template <class Set, int KernelW, int Quads, int Stride, int Pixels>
inline void sum_words(const DepthwiseWords& job, const uint32_t* taps, int64_t x, int first, int32_t* sums) {
  typename V::I acc[Pixels], tap[KernelW][Quads];
  const typename V::I start = V::iload(job.starts + first);
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) acc[p] = start;
#pragma GCC unroll 8
  for (int kx = 0; kx < KernelW; ++kx)
#pragma GCC unroll 2
    for (int q = 0; q < Quads; ++q) tap[kx][q] = V::iload(taps + (kx * Quads + q) * kPanel + first);
  const uint32_t* in = job.words + x * Stride * job.pixel_stride + first;
#pragma GCC unroll 32
  for (int column = 0; column < (Pixels - 1) * Stride + KernelW; ++column)
#pragma GCC unroll 2
    for (int q = 0; q < Quads; ++q) {
      const typename V::I word = V::iload(in + column * job.pixel_stride + q * job.quad_stride);
#pragma GCC unroll 8
      for (int kx = 0; kx < KernelW; ++kx)
        if (column >= kx && (column - kx) % Stride == 0 && (column - kx) / Stride < Pixels)
          acc[(column - kx) / Stride] = Set::dot(acc[(column - kx) / Stride], word, tap[kx][q]);
    }
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) Set::istore(sums + p * kPanel + first, acc[p]);
}

// Of one pixel, of any window.
template <class Set>
inline void sum_pixel(const DepthwiseWords& job, const uint32_t* taps, int64_t x, int first, int32_t* sums) {
  typename V::I acc = V::iload(job.starts + first);
  const uint32_t* in = job.words + x * job.stride * job.pixel_stride + first;
  for (int kx = 0; kx < job.kernel_w; ++kx, in += job.dilation * job.pixel_stride)
    for (int q = 0; q < job.quads; ++q)
      acc = Set::dot(acc, V::iload(in + q * job.quad_stride), V::iload(taps + (kx * job.quads + q) * kPanel + first));
  Set::istore(sums + first, acc);
}

// sums[pixels][panel] of output pixels from x on; a vector of channels at a time.
template <class Set, int KernelW, int Quads, int Stride>
void sum_pixels(const DepthwiseWords& job, const uint32_t* taps, int64_t x, int64_t pixels, int32_t* sums) {
  for (int first = 0; first < job.channels; first += V::width) {
    int64_t p = 0;
    if constexpr (KernelW > 0) {
      for (; p + Set::word_pixels <= pixels; p += Set::word_pixels)
        sum_words<Set, KernelW, Quads, Stride, Set::word_pixels>(job, taps, x + p, first, sums + p * kPanel);
    }
    for (; p < pixels; ++p) sum_pixel<Set>(job, taps, x + p, first, sums + p * kPanel);
  }
}

// What the sums of `pixels` pixels become: results of `act`, in their form; `width` of a vector's channels are valid.
template <class Set, Act act, Form form>
inline void finish_words(const DepthwiseWords& job, int64_t x, int64_t pixels, int first, int width, const int32_t* sums) {
  constexpr int kPixels = 8;
  const Vec scale = V::load(job.scales + first), bias = V::load(job.bias + first);
  Vec inverse = V::zero(), highest = V::zero();
  if constexpr (form == Form::codes) inverse = V::load(job.rule.inverse_scales + first), highest = V::set(job.rule.highest);
  if constexpr (form == Form::halves) inverse = V::set(1 / job.unit);
  const float lowest = job.rule.lowest;  // bytes may alias the rule
  const int64_t stride = job.out_stride;
  using Element = std::conditional_t<form == Form::floats, float, std::conditional_t<form == Form::codes, uint8_t, uint16_t>>;
  auto* out = static_cast<Element*>(job.out) + x * stride + first;
  constexpr int kTotals = 4;  // additions that wait for each other are slow
  Vec totals[kTotals];
  for (Vec& t : totals) t = V::zero();
  const auto store = [&](Element* to, Vec y) {
    if constexpr (form == Form::floats) V::store(to, y);
    if constexpr (form == Form::halves) Set::store_halves(to, V::mul(y, inverse));
    if constexpr (form == Form::bf16) Set::store_bf16(to, y);
    if constexpr (form == Form::codes) Set::store_byte_codes(to, V::min(V::mul(y, inverse), highest), lowest);
  };
  const auto finish = [&]<int N>(int64_t p, auto put) {
    Vec y[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) y[i] = V::fma(V::to_float(V::iload(sums + (p + i) * kPanel + first)), scale, bias);
    activate_all<act>(y);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      totals[i % kTotals] = V::add(totals[i % kTotals], y[i]);
      put(out + (p + i) * stride, y[i]);
    }
  };
  const auto put_some = [&](Element* to, Vec y) {
    Element whole[V::width];
    store(whole, y);
    for (int j = 0; j < width; ++j) to[j] = whole[j];
  };
  int64_t p = 0;
  if (width == V::width) {
    for (; p + kPixels <= pixels; p += kPixels) finish.template operator()<kPixels>(p, store);
    for (; p < pixels; ++p) finish.template operator()<1>(p, store);
  } else {
    for (; p < pixels; ++p) finish.template operator()<1>(p, put_some);
  }
  const Vec total = V::add(V::add(totals[0], totals[1]), V::add(totals[2], totals[3]));
  if (job.sums) V::store(job.sums + first, V::add(V::load(job.sums + first), total));
}

template <class Set>
void depthwise_words(const DepthwiseWords& job) {
  constexpr int64_t kChunk = 64;
  alignas(64) uint32_t turned[kMostWordTaps * (kMostWordTaps / 4) * kPanel];
  alignas(64) int32_t sums[kChunk * kPanel];
  const uint32_t* taps = job.taps;
  if (job.first_row != 0) {
    turn_taps<Set>(job, turned);
    taps = turned;
  }
  auto* sum = sum_pixels<Set, 0, 0, 0>;
  if (job.dilation == 1 && job.stride <= 2) {
    if (job.kernel_w == 3 && job.quads == 1) sum = job.stride == 1 ? sum_pixels<Set, 3, 1, 1> : sum_pixels<Set, 3, 1, 2>;
    if (job.kernel_w == 5 && job.quads == 2) sum = job.stride == 1 ? sum_pixels<Set, 5, 2, 1> : sum_pixels<Set, 5, 2, 2>;
  }
  with_act(job.act, [&]<Act act>() {
    const auto run = [&]<Form form>() {
      for (int64_t x = 0; x < job.width; x += kChunk) {
        const int64_t pixels = job.width - x < kChunk ? job.width - x : kChunk;
        sum(job, taps, x, pixels, sums);
        for (int first = 0; first < job.channels; first += V::width)
          finish_words<Set, act, form>(job, x, pixels, first, job.channels - first < V::width ? job.channels - first : V::width,
                                       sums);
      }
    };
    switch (job.form) {
      case Form::floats:
        run.template operator()<Form::floats>();
        break;
      case Form::halves:
        run.template operator()<Form::halves>();
        break;
      case Form::bf16:
        if constexpr (Set::bf16) run.template operator()<Form::bf16>();
        break;
      case Form::codes:
        run.template operator()<Form::codes>();
        break;
    }
  });
}

template <class Set>
void words_of_floats(const float* in, int64_t pixels, int64_t channels, const CodeRule& rule, int byte, uint32_t* out,
                     int64_t pixel_stride) {
  const Vec lowest = V::set(rule.lowest), highest = V::set(rule.highest);
  const typename Set::WordByte at(rule.lowest, byte);
  const auto merge = [&](const float* from, int64_t column, uint32_t* to) {
    // Not a number becomes the lowest code.
    const Vec x = V::mul(V::load(from), V::load(rule.inverse_scales + column));
    Set::merge_codes(to, V::min(V::max(x, lowest), highest), at);
  };
  for (int64_t p = 0; p < pixels; ++p, in += channels, out += pixel_stride) {
    int64_t i = 0;
    for (; i + V::width <= channels; i += V::width) merge(in + i, i, out + i);
    if (i == channels) continue;
    float tail[V::width] = {};
    for (int64_t j = i; j < channels; ++j) tail[j - i] = in[j];
    merge(tail, i, out + i);  // words are of whole panels
  }
}

template <class Set>
void words_of_codes(const uint8_t* in, int64_t pixels, int64_t channels, int byte, uint32_t* out, int64_t pixel_stride) {
  const uint32_t others = ~(0xffu << 8 * byte);
  for (int64_t p = 0; p < pixels; ++p, in += channels, out += pixel_stride)
    for (int64_t i = 0; i < channels; ++i) out[i] = (out[i] & others) | static_cast<uint32_t>(in[i]) << 8 * byte;
}

template <class Set>
void fill_words(uint32_t* words, int64_t n, int byte, uint8_t code) {
  const uint32_t others = ~(0xffu << 8 * byte), value = static_cast<uint32_t>(code) << 8 * byte;
  for (int64_t i = 0; i < n; ++i) words[i] = (words[i] & others) | value;
}

template <class Set>
void halves_of_rows(const float* in, int64_t lda, int64_t rows, int64_t k, float unit, uint16_t* out, int64_t ldo) {
  const Vec factor = V::set(1 / unit);
  if (lda == k && ldo == k) {  // one row
    k *= rows;
    rows = 1;
  }
  for (int64_t r = 0; r < rows; ++r, in += lda, out += ldo) {
    int64_t i = 0;
    for (; i + V::width <= k; i += V::width) Set::store_halves(out + i, V::mul(V::load(in + i), factor));
    if (i == k) continue;
    float tail[V::width] = {};
    uint16_t halves[V::width];
    for (int64_t j = i; j < k; ++j) tail[j - i] = in[j];
    Set::store_halves(halves, V::mul(V::load(tail), factor));
    for (int64_t j = i; j < k; ++j) out[j] = halves[j - i];
  }
}

template <class Set>
void floats_of_halves(const Halves& in, int64_t n, float* out) {
  const Vec unit = V::set(in.unit);
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) V::store(out + i, V::mul(Set::load_halves(in.data + i), unit));
  if (i == n) return;
  uint16_t tail[V::width] = {};
  for (int64_t j = i; j < n; ++j) tail[j - i] = in.data[j];
  V::store_some(out + i, V::mul(Set::load_halves(tail), unit), static_cast<int>(n - i));
}

}  // namespace
}  // namespace cytodet::exec
