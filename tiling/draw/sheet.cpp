#include "tiling/draw/sheet.h"

#include <algorithm>
#include <cstring>
#include <opencv2/imgproc.hpp>

namespace cytodet::tiling {
namespace {

constexpr int kGap = 12, kTitle = 28;
constexpr double kFont = 0.5;

}  // namespace

Image draw_sheet(const std::vector<TitledImage>& images, int columns) {
  columns = std::clamp(columns, 1, std::max(1, static_cast<int>(images.size())));
  int width = 1, height = kGap;
  for (const TitledImage& p : images) width = std::max(width, p.image.width);
  std::vector<int> tops;
  for (size_t first = 0; first < images.size(); first += static_cast<size_t>(columns)) {
    int highest = 0;
    for (size_t i = first; i < std::min(images.size(), first + static_cast<size_t>(columns)); ++i)
      highest = std::max(highest, images[i].image.height);
    tops.push_back(height);
    height += kTitle + highest + kGap;
  }
  Image sheet(columns * (width + kGap) + kGap, height);
  std::fill(sheet.rgb.begin(), sheet.rgb.end(), uint8_t{255});
  cv::Mat canvas(sheet.height, sheet.width, CV_8UC3, sheet.rgb.data());
  for (size_t i = 0; i < images.size(); ++i) {
    const Image& p = images[i].image;
    const int left = kGap + static_cast<int>(i) % columns * (width + kGap), top = tops[i / static_cast<size_t>(columns)];
    cv::Mat title = canvas(cv::Rect(left, top, width, kTitle));
    int below = 0;
    const int wide = cv::getTextSize(images[i].title, cv::FONT_HERSHEY_SIMPLEX, kFont, 1, &below).width;
    const double font = kFont * std::min(1.0, static_cast<double>(width) / std::max(1, wide));
    cv::putText(title, images[i].title, cv::Point(0, kTitle - 9), cv::FONT_HERSHEY_SIMPLEX, font, cv::Scalar(20, 20, 20), 1,
                cv::LINE_AA);
    for (int r = 0; r < p.height; ++r)
      std::memcpy(sheet.row(top + kTitle + r) + left * 3, p.row(r), static_cast<size_t>(p.width) * 3);
  }
  return sheet;
}

Image below_band(const Image& image, int height) {
  Image banded(image.width, image.height + height);
  std::fill(banded.rgb.begin(), banded.rgb.end(), uint8_t{255});
  std::copy(image.rgb.begin(), image.rgb.end(), banded.row(height));
  return banded;
}

}  // namespace cytodet::tiling
