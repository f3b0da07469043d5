#include "tiling/overlay.h"

#include <algorithm>
#include <cstdio>
#include <opencv2/imgproc.hpp>

#include "tiling/region.h"

namespace cytodet {
namespace {

cv::Scalar colour(int c) {
  const auto k = class_colour(c);
  return cv::Scalar(k[0], k[1], k[2]);
}

// Far outside stays outside, and within an integer.
cv::Point point(double x, double y) {
  return {static_cast<int>(std::clamp(x, -1000.0, 1e6)), static_cast<int>(std::clamp(y, -1000.0, 1e6))};
}

}  // namespace

Image draw_overlay(const Slide& slide, const Detections& detections, const std::vector<std::string>& classes,
                   const OverlayOptions& options) {
  Image picture = thumbnail(slide, options.max_side);
  const double scale = std::min(1.0, options.max_side / static_cast<double>(std::max(slide.width(), slide.height())));
  cv::Mat canvas(picture.height, picture.width, CV_8UC3, picture.rgb.data());
  std::vector<int64_t> counts(classes.size(), 0);
  for (auto it = detections.rbegin(); it != detections.rend(); ++it) {
    const Box& b = it->box;
    if (static_cast<double>(it->score) < options.score) continue;
    if (static_cast<size_t>(it->category) < counts.size()) ++counts[static_cast<size_t>(it->category)];
    cv::rectangle(canvas, point(b.x0 * scale, b.y0 * scale), point(b.x1 * scale, b.y1 * scale), colour(it->category),
                  std::max(1, picture.width / 700), cv::LINE_8);
  }
  const double font = std::clamp(picture.width / 1400.0, 0.4, 1.5);
  const int line = static_cast<int>(34 * font);
  Image image(picture.width, picture.height + line + line / 2);
  std::fill(image.rgb.begin(), image.rgb.end(), uint8_t{255});
  std::copy(picture.rgb.begin(), picture.rgb.end(), image.row(line + line / 2));
  cv::Mat legend(line + line / 2, image.width, CV_8UC3, image.rgb.data());
  int x = line / 2;
  char least[32];
  std::snprintf(least, sizeof least, "score >= %.2f", options.score);
  for (size_t c = 0; c <= classes.size(); ++c) {
    std::string text = c < classes.size() ? classes[c] + " " + std::to_string(counts[c]) : least;
    if (c < classes.size())
      cv::rectangle(legend, cv::Point(x, line / 2), cv::Point(x + line / 2, line), colour(static_cast<int>(c)), cv::FILLED);
    int base = 0, left = c < classes.size() ? x + line * 3 / 4 : x;
    cv::putText(legend, text, cv::Point(left, line), cv::FONT_HERSHEY_SIMPLEX, font, cv::Scalar(20, 20, 20),
                std::max(1, picture.width / 1200), cv::LINE_AA);
    x = left + cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, font, 1, &base).width + line;
  }
  return image;
}

}  // namespace cytodet
