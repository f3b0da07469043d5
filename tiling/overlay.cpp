#include "tiling/overlay.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <opencv2/imgproc.hpp>

#include "core/parallel.h"

namespace cytodet {
namespace {

constexpr std::array<std::array<int, 3>, 8> kColours = {
    {{220, 40, 40}, {30, 90, 230}, {20, 150, 60}, {230, 140, 0}, {150, 40, 190}, {0, 160, 170}, {120, 90, 40}, {90, 90, 90}}};

cv::Scalar colour(int c) {
  const auto& k = kColours[static_cast<size_t>(c) % kColours.size()];
  return cv::Scalar(k[0], k[1], k[2]);
}

// Far outside stays outside, and within an integer.
cv::Point point(double x, double y) {
  return {static_cast<int>(std::clamp(x, -1000.0, 1e6)), static_cast<int>(std::clamp(y, -1000.0, 1e6))};
}

// The whole slide, piece by strip from the level that is nearest above the wanted size.
Image thumbnail(const Slide& slide, double scale, int width, int height) {
  int level = 0;
  for (size_t i = 0; i < slide.levels.size(); ++i)
    if (slide.levels[i].downsample <= 1 / scale * 1.001) level = static_cast<int>(i);
  const LevelInfo& info = slide.levels[static_cast<size_t>(level)];
  Image out(width, height);
  constexpr int kRows = 64, kColumns = 256;
  const int across = (width + kColumns - 1) / kColumns, down = (height + kRows - 1) / kRows;
  parallel_for(int64_t{across} * down, 0, [&](int64_t i) {
    const int x = static_cast<int>(i % across) * kColumns, y = static_cast<int>(i / across) * kRows;
    const int rows = std::min(kRows, height - y), columns = std::min(kColumns, width - x);
    const int64_t y0 = int64_t{y} * info.height / height,
                  y1 = std::max<int64_t>(y0 + 1, int64_t{y + rows} * info.height / height);
    const int64_t x0 = int64_t{x} * info.width / width, x1 = std::max<int64_t>(x0 + 1, int64_t{x + columns} * info.width / width);
    Image part(static_cast<int>(x1 - x0), static_cast<int>(y1 - y0));
    slide.read(level, x0, y0, part.width, part.height, part.rgb.data());
    cv::Mat in(part.height, part.width, CV_8UC3, part.rgb.data()), small;
    cv::resize(in, small, cv::Size(columns, rows), 0, 0, cv::INTER_AREA);
    for (int r = 0; r < rows; ++r) std::memcpy(out.row(y + r) + x * 3, small.ptr<uint8_t>(r), static_cast<size_t>(columns) * 3);
  });
  return out;
}

}  // namespace

Image draw_overlay(const Slide& slide, const Detections& detections, const std::vector<std::string>& classes,
                   const OverlayOptions& options) {
  double w = static_cast<double>(slide.width()), h = static_cast<double>(slide.height());
  double scale = std::min(1.0, options.max_side / std::max(w, h));
  Image picture = thumbnail(slide, scale, std::max(1, static_cast<int>(w * scale)), std::max(1, static_cast<int>(h * scale)));
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
