#include "tiling/draw/overlay.h"

#include <algorithm>
#include <cstdio>
#include <opencv2/imgproc.hpp>

#include "tiling/draw/sheet.h"
#include "tiling/tiles/region.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::tiling {
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
  Image image = thumbnail(slide, options.max_side);
  const PixelArea scanned = scanned_area(slide);
  const double from_x = static_cast<double>(scanned.x), from_y = static_cast<double>(scanned.y);
  const double scale = std::min(1.0, options.max_side / static_cast<double>(std::max(scanned.width, scanned.height)));
  cv::Mat canvas(image.height, image.width, CV_8UC3, image.rgb.data());
  std::vector<int64_t> counts(classes.size(), 0);
  for (auto it = detections.rbegin(); it != detections.rend(); ++it) {
    const Box& b = it->box;
    if (static_cast<double>(it->score) < options.score) continue;
    if (static_cast<size_t>(it->category) < counts.size()) ++counts[static_cast<size_t>(it->category)];
    cv::rectangle(canvas, point((b.x0 - from_x) * scale, (b.y0 - from_y) * scale),
                  point((b.x1 - from_x) * scale, (b.y1 - from_y) * scale), colour(it->category), std::max(1, image.width / 700),
                  cv::LINE_8);
  }
  char min_score[32];
  std::snprintf(min_score, sizeof min_score, "score >= %.2f", options.score);
  std::vector<std::string> texts;
  for (size_t c = 0; c < classes.size(); ++c) texts.push_back(classes[c] + " " + std::to_string(counts[c]));
  texts.push_back(min_score);
  const auto width_of = [](const std::string& text, double font) {
    int base = 0;
    return cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, font, 1, &base).width;
  };
  const auto line_of = [](double font) { return static_cast<int>(34 * font); };
  double font = std::clamp(image.width / 1400.0, 0.4, 1.5);
  double wide = line_of(font) / 2.0;
  for (const std::string& text : texts) wide += width_of(text, font) + line_of(font) * 1.75;
  font *= std::min(1.0, image.width / wide);  // all of it is seen
  const int line = std::max(4, line_of(font));
  Image banded = below_band(image, line + line / 2);
  cv::Mat legend(line + line / 2, banded.width, CV_8UC3, banded.rgb.data());
  int x = line / 2;
  for (size_t c = 0; c < texts.size(); ++c) {
    const bool named = c < classes.size();
    if (named)
      cv::rectangle(legend, cv::Point(x, line / 2), cv::Point(x + line / 2, line), colour(static_cast<int>(c)), cv::FILLED);
    const int left = named ? x + line * 3 / 4 : x;
    cv::putText(legend, texts[c], cv::Point(left, line), cv::FONT_HERSHEY_SIMPLEX, font, cv::Scalar(20, 20, 20),
                std::max(1, image.width / 1200), cv::LINE_AA);
    x = left + width_of(texts[c], font) + line;
  }
  return banded;
}

}  // namespace cytodet::tiling
