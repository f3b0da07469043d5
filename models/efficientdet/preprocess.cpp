#include "models/efficientdet/preprocess.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "core/cpu.h"

namespace cytodet {

Letterbox letterbox_of(int source_width, int source_height, const InputSettings& input) {
  double scale = std::min(static_cast<double>(input.height) / source_height, static_cast<double>(input.width) / source_width);
  Letterbox box;
  box.scale = scale;
  box.width = std::clamp(static_cast<int>(source_width * scale), 1, input.width);
  box.height = std::clamp(static_cast<int>(source_height * scale), 1, input.height);
  return box;
}

namespace {

// Lanes that hold whole pixels and whole vectors of every instruction set.
constexpr int kLanes = 48;

struct Normaliser {
  float factor[kLanes], offset[kLanes];
};

[[gnu::always_inline]] inline void normalise(const uint8_t* in, int64_t n, const Normaliser& by, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int k = 0; k < kLanes; ++k) out[i + k] = static_cast<float>(in[i + k]) * by.factor[k] + by.offset[k];
  for (int k = 0; i + k < n; ++k) out[i + k] = static_cast<float>(in[i + k]) * by.factor[k] + by.offset[k];
}
void normalise_baseline(const uint8_t* in, int64_t n, const Normaliser& by, float* out) { normalise(in, n, by, out); }
#if defined(__x86_64__)
[[gnu::target("avx2")]] void normalise_avx2(const uint8_t* in, int64_t n, const Normaliser& by, float* out) {
  normalise(in, n, by, out);
}
[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")]] void normalise_avx512(const uint8_t* in, int64_t n,
                                                                                                    const Normaliser& by,
                                                                                                    float* out) {
  normalise(in, n, by, out);
}
#endif

// All give the same floats: this file is compiled without contraction of products and sums.
auto normalise_here() {
#if defined(__x86_64__)
  if (isa() >= Isa::avx512) return normalise_avx512;
  if (isa() >= Isa::avx2) return normalise_avx2;
#endif
  return normalise_baseline;
}

}  // namespace

void preprocess(const Image& image, const InputSettings& input, const Letterbox& box, float* out) {
  cv::Mat source(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.rgb.data())), resized = source;
  if (box.width != image.width || box.height != image.height)
    cv::resize(source, resized, cv::Size(box.width, box.height), 0, 0, cv::INTER_LINEAR);
  if (input.pixel_order == "BGR") {
    cv::Mat swapped;
    cv::cvtColor(resized, swapped, cv::COLOR_RGB2BGR);
    resized = swapped;
  }
  Normaliser by;
  for (int k = 0; k < kLanes; ++k) {
    const auto c = static_cast<size_t>(k % 3);
    by.factor[k] = static_cast<float>(1 / (255.0 * input.deviation[c]));
    by.offset[k] = static_cast<float>(-input.mean[c] / input.deviation[c]);
  }
  const auto run = normalise_here();
  const int64_t row = int64_t{input.width} * 3, filled = int64_t{box.width} * 3;
  for (int y = 0; y < box.height; ++y) {
    run(resized.ptr<uint8_t>(y), filled, by, out + y * row);
    std::fill_n(out + y * row + filled, row - filled, 0.0f);
  }
  std::fill_n(out + box.height * row, (input.height - box.height) * row, 0.0f);
}

}  // namespace cytodet
