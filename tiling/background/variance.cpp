#include <opencv2/imgproc.hpp>

#include "tiling/background/background_entries.h"

namespace cytodet::tiling {
namespace {

constexpr int kWindow = 9;
constexpr float kMinDeviation = 3;  // gray levels of 255

std::vector<uint8_t> cells_by_variance(const Image& image) {
  const cv::Mat rgb(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.rgb.data()));
  cv::Mat gray, value, mean, square;
  cv::cvtColor(rgb, gray, cv::COLOR_RGB2GRAY);
  gray.convertTo(value, CV_32F);
  cv::boxFilter(value, mean, CV_32F, {kWindow, kWindow}, {-1, -1}, true, cv::BORDER_REPLICATE);
  cv::boxFilter(value.mul(value), square, CV_32F, {kWindow, kWindow}, {-1, -1}, true, cv::BORDER_REPLICATE);
  std::vector<uint8_t> mask(static_cast<size_t>(image.width) * static_cast<size_t>(image.height));
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      const float m = mean.at<float>(y, x);
      mask[static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x)] =
          square.at<float>(y, x) - m * m > kMinDeviation * kMinDeviation || m < 128;
    }
  return mask;
}

}  // namespace

constinit const BackgroundMethodEntry kVariance{BackgroundMethod::variance, "variance",
                                                "texture: standard deviation of luminance in small windows, and all that is dark",
                                                cells_by_variance};

}  // namespace cytodet::tiling
