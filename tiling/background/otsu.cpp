#include <algorithm>
#include <array>
#include <opencv2/imgproc.hpp>

#include "tiling/background/background_entries.h"

namespace cytodet::tiling {
namespace {

constexpr int kMinSaturation = 8, kMaxSaturation = 16;  // of 255: glass and its JPEG noise stay below, pale plasma is above

std::vector<uint8_t> cells_by_saturation(const Image& image) {
  const cv::Mat rgb(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.rgb.data()));
  cv::Mat smooth;
  cv::blur(rgb, smooth, {3, 3}, {-1, -1}, cv::BORDER_REPLICATE);
  std::vector<uint8_t> saturation(static_cast<size_t>(image.width) * static_cast<size_t>(image.height));
  std::array<int64_t, 256> histogram{};
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      const uint8_t* p = smooth.ptr<uint8_t>(y) + 3 * x;
      const int high = std::max({p[0], p[1], p[2]}), low = std::min({p[0], p[1], p[2]});
      // Dark pixels are cells whatever their colour.
      const int s = high < 128 ? 255 : (high - low) * 255 / high;
      saturation[static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x)] = static_cast<uint8_t>(s);
      ++histogram[static_cast<size_t>(s)];
    }
  const int threshold = std::clamp(otsu_threshold(histogram), kMinSaturation, kMaxSaturation);
  for (uint8_t& s : saturation) s = s > threshold;
  return saturation;
}

}  // namespace

int otsu_threshold(std::span<const int64_t> histogram) {
  double total = 0, sum = 0;
  for (size_t i = 0; i < histogram.size(); ++i) {
    total += static_cast<double>(histogram[i]);
    sum += static_cast<double>(histogram[i]) * static_cast<double>(i);
  }
  double below = 0, sum_below = 0, best = 0;
  int threshold = 255;
  for (size_t i = 0; i + 1 < histogram.size(); ++i) {
    below += static_cast<double>(histogram[i]);
    sum_below += static_cast<double>(histogram[i]) * static_cast<double>(i);
    const double above = total - below;
    if (below == 0 || above == 0) continue;
    const double apart = sum_below / below - (sum - sum_below) / above, between = below * above * apart * apart;
    if (between > best) {
      best = between;
      threshold = static_cast<int>(i);
    }
  }
  return threshold;
}

constinit const BackgroundMethodEntry kOtsu{
    BackgroundMethod::otsu, "otsu", "colour: saturation over Otsu's threshold, and all that is dark", cells_by_saturation};

}  // namespace cytodet::tiling
