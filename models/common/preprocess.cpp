#include "models/common/preprocess.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "core/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cytodet::models {

namespace {

// Lanes that hold whole pixels and whole vectors of every instruction set.
constexpr int kLanes = 48;

struct Normaliser {
  float factor[kLanes], offset[kLanes];
  float inverse_scale[kLanes] = {}, lowest = 0, highest = 0;  // of bytes
};

[[gnu::always_inline]] inline float normalised(uint8_t in, const Normaliser& by, int k) {
  return static_cast<float>(in) * by.factor[k] + by.offset[k];
}
[[gnu::always_inline]] inline void put(float x, const Normaliser&, int, float& out) { out = x; }
[[gnu::always_inline]] inline void put(float x, const Normaliser& by, int k, uint8_t& out) {
  constexpr float whole = 12582912.0f;  // the sum has no bits behind the point: it rounds, ties to even
  float q = x * by.inverse_scale[k];
  q = q < by.lowest ? by.lowest : q;
  q = q > by.highest ? by.highest : q;
  out = static_cast<uint8_t>(static_cast<int>(q + whole - whole - by.lowest));
}

template <class Out>
[[gnu::always_inline]] inline void normalise(const uint8_t* in, int64_t n, const Normaliser& by, Out* out) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int k = 0; k < kLanes; ++k) put(normalised(in[i + k], by, k), by, k, out[i + k]);
  for (int k = 0; i + k < n; ++k) put(normalised(in[i + k], by, k), by, k, out[i + k]);
}
template <class Out>
void normalise_baseline(const uint8_t* in, int64_t n, const Normaliser& by, Out* out) {
  normalise(in, n, by, out);
}
#if defined(__x86_64__)
template <class Out>
[[gnu::target("avx2")]] void normalise_avx2(const uint8_t* in, int64_t n, const Normaliser& by, Out* out) {
  normalise(in, n, by, out);
}
template <class Out>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq" CYTODET_PREFER_512_BITS)]] void normalise_avx512(const uint8_t* in, int64_t n,
                                                                                                    const Normaliser& by,
                                                                                                    Out* out) {
  normalise(in, n, by, out);
}

// A byte for each that a pixel's channel may have.
struct ByteTables {
  uint8_t of[3][256];
  explicit ByteTables(const Normaliser& by) {
    for (int c = 0; c < 3; ++c)
      for (int i = 0; i < 256; ++i) put(normalised(static_cast<uint8_t>(i), by, c), by, c, of[c][i]);
  }
};

#define CYTODET_VBMI gnu::target("avx512f,avx512bw,avx512vbmi")
[[CYTODET_VBMI, gnu::always_inline]] inline __m512i byte_of(const __m512i (&table)[4], __m512i index) {
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), _mm512_permutex2var_epi8(table[0], index, table[1]),
                                _mm512_permutex2var_epi8(table[2], index, table[3]));
}

[[CYTODET_VBMI]] void look_up_vbmi(const uint8_t* in, int64_t n, const ByteTables& tables, uint8_t* out) {
  __m512i table[3][4];
  for (int c = 0; c < 3; ++c)
    for (int quarter = 0; quarter < 4; ++quarter) table[c][quarter] = _mm512_loadu_si512(tables.of[c] + 64 * quarter);
  // Bytes 0, 3, 6 ... of a vector; byte 64 is a pixel's second, byte 128 its third.
  constexpr __mmask64 thirds = 0x9249249249249249;
  constexpr __mmask64 second[3] = {thirds << 1, thirds, thirds << 2}, third[3] = {thirds << 2, thirds << 1, thirds};
  int vector = 0;
  for (int64_t i = 0; i < n; i += 64, vector = vector == 2 ? 0 : vector + 1) {
    const __mmask64 valid = n - i < 64 ? (__mmask64{1} << (n - i)) - 1 : ~__mmask64{0};
    const __m512i index = _mm512_maskz_loadu_epi8(valid, in + i);
    __m512i bytes = byte_of(table[0], index);
    bytes = _mm512_mask_mov_epi8(bytes, second[vector], byte_of(table[1], index));
    bytes = _mm512_mask_mov_epi8(bytes, third[vector], byte_of(table[2], index));
    _mm512_mask_storeu_epi8(out + i, valid, bytes);
  }
}
#undef CYTODET_VBMI

bool looks_up() { return isa() >= Isa::avx512_vnni && __builtin_cpu_supports("avx512vbmi"); }
#endif

// All give the same numbers: this file is compiled without contraction of products and sums.
template <class Out>
auto normalise_here() {
  return select_for_isa<decltype(&normalise_baseline<Out>)>({
    {Isa::baseline, normalise_baseline<Out>},
#if defined(__x86_64__)
        {Isa::avx2, normalise_avx2<Out>}, {Isa::avx512, normalise_avx512<Out>},
#endif
  });
}

Normaliser normaliser_of(const InputSettings& input) {
  const ChannelScale scale = channel_scale(input);
  Normaliser by;
  for (int k = 0; k < kLanes; ++k) {
    by.factor[k] = scale.factor[k % 3];
    by.offset[k] = scale.offset[k % 3];
  }
  return by;
}

// run(bytes of a row, how many, where to): its numbers.
template <class Out, class Run>
void fill_input(const Image& image, const InputSettings& input, const Letterbox& box, Out zero, Out* out, Run run) {
  cv::Mat source(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.rgb.data())), resized = source;
  if (box.width != image.width || box.height != image.height)
    cv::resize(source, resized, cv::Size(box.width, box.height), 0, 0, cv::INTER_LINEAR);
  if (input.pixel_order == "BGR") {
    cv::Mat swapped;
    cv::cvtColor(resized, swapped, cv::COLOR_RGB2BGR);
    resized = swapped;
  }
  const int64_t row = int64_t{input.width} * 3, left = int64_t{box.left} * 3, filled = int64_t{box.width} * 3;
  std::vector<Out> around(static_cast<size_t>(row), zero);  // a row that holds nothing of the image
  if (input.fill) {
    const std::vector<uint8_t> pixels(static_cast<size_t>(row), static_cast<uint8_t>(*input.fill));
    run(pixels.data(), row, around.data());
  }
  for (int y = 0; y < input.height; ++y) {
    Out* to = out + y * row;
    if (y < box.top || y >= box.top + box.height) {
      std::copy(around.begin(), around.end(), to);
      continue;
    }
    std::copy_n(around.data(), left, to);
    run(resized.ptr<uint8_t>(y - box.top), filled, to + left);
    std::copy_n(around.data() + left + filled, row - left - filled, to + left + filled);
  }
}

}  // namespace

void preprocess(const Image& image, const InputSettings& input, const Letterbox& box, float* out) {
  const Normaliser by = normaliser_of(input);
  fill_input(image, input, box, 0.0f, out,
             [&, row = normalise_here<float>()](const uint8_t* in, int64_t n, float* to) { row(in, n, by, to); });
}

void preprocess(const Image& image, const InputSettings& input, const Letterbox& box, const InputQuantization& quantization,
                uint8_t* out) {
  Normaliser by = normaliser_of(input);
  for (int k = 0; k < kLanes; ++k) by.inverse_scale[k] = quantization.inverse_scale[k % 3];
  by.lowest = quantization.lowest;
  by.highest = quantization.highest;
  const auto zero = static_cast<uint8_t>(-quantization.lowest);
#if defined(__x86_64__)
  if (looks_up())
    return fill_input(image, input, box, zero, out,
                      [tables = ByteTables(by)](const uint8_t* in, int64_t n, uint8_t* to) { look_up_vbmi(in, n, tables, to); });
#endif
  fill_input(image, input, box, zero, out,
             [&, row = normalise_here<uint8_t>()](const uint8_t* in, int64_t n, uint8_t* to) { row(in, n, by, to); });
}

}  // namespace cytodet::models
