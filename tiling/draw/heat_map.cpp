#include "tiling/draw/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <opencv2/imgproc.hpp>

#include "core/error.h"
#include "tiling/draw/sheet.h"
#include "tiling/tiles/region.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::tiling {
namespace {

constexpr int kCells = 256;

// White, yellow, orange, red, dark red at equal steps.
constexpr std::array<std::array<double, 3>, 5> kRamp = {
    {{255, 255, 255}, {255, 225, 90}, {250, 140, 30}, {215, 35, 30}, {90, 0, 30}}};

std::array<double, 3> ramp(double v) {
  const double at = std::clamp(v, 0.0, 1.0) * (kRamp.size() - 1);
  const size_t i = std::min(static_cast<size_t>(at), kRamp.size() - 2);
  std::array<double, 3> c{};
  for (size_t k = 0; k < 3; ++k) c[k] = kRamp[i][k] + (kRamp[i + 1][k] - kRamp[i][k]) * (at - static_cast<double>(i));
  return c;
}

Image with_scale(const Image& image, const std::string& max) {
  const double font = std::clamp(image.width / 1600.0, 0.4, 1.0);
  const int line = static_cast<int>(34 * font), bar = std::min(image.width / 3, 8 * line);
  Image banded = below_band(image, line + line / 2);
  cv::Mat legend(line + line / 2, banded.width, CV_8UC3, banded.rgb.data());
  const cv::Scalar ink(20, 20, 20);
  cv::putText(legend, "0", cv::Point(line / 2, line), cv::FONT_HERSHEY_SIMPLEX, font, ink, 1, cv::LINE_AA);
  const int left = 3 * line / 2;
  for (int x = 0; x < bar; ++x) {
    const auto c = ramp(static_cast<double>(x) / std::max(1, bar - 1));
    cv::line(legend, cv::Point(left + x, line / 2), cv::Point(left + x, line), cv::Scalar(c[0], c[1], c[2]));
  }
  cv::rectangle(legend, cv::Point(left, line / 2), cv::Point(left + bar, line), cv::Scalar(150, 150, 150));
  cv::putText(legend, max, cv::Point(left + bar + line / 2, line), cv::FONT_HERSHEY_SIMPLEX, font, ink, 1, cv::LINE_AA);
  return banded;
}

}  // namespace

HeatMap::HeatMap(int64_t width, int64_t height) : HeatMap(width, height, std::nullopt) {}

HeatMap::HeatMap(int64_t slide_width, int64_t slide_height, const std::optional<PixelArea>& bounds)
    : width_(bounds ? bounds->width : slide_width), height_(bounds ? bounds->height : slide_height), bounds_(bounds) {
  const int64_t width = width_, height = height_;
  if (width < 1 || height < 1) throw Error("heat map", "the slide's size is not known", "name the slide's file");
  const double cell = static_cast<double>(std::max(width, height)) / kCells;
  columns_ = std::clamp(static_cast<int>(std::ceil(static_cast<double>(width) / cell)), 1, kCells);
  rows_ = std::clamp(static_cast<int>(std::ceil(static_cast<double>(height) / cell)), 1, kCells);
  counts_.assign(static_cast<size_t>(columns_) * static_cast<size_t>(rows_), 0.0F);
}

void HeatMap::add(const Box& b) {
  const auto [left, top] = frame_corner(bounds_, Origin::bounds);
  const double x = ((b.x0 + b.x1) / 2 - left) / static_cast<double>(width_) * columns_,
               y = ((b.y0 + b.y1) / 2 - top) / static_cast<double>(height_) * rows_;
  const auto place = [](double v, int n) { return static_cast<size_t>(std::clamp(v, 0.0, n - 1.0)); };
  ++counts_[place(y, rows_) * static_cast<size_t>(columns_) + place(x, columns_)];
}

std::vector<float> HeatMap::smooth() const {
  std::vector<float> smoothed = counts_;
  cv::Mat grid(rows_, columns_, CV_32F, smoothed.data());
  cv::GaussianBlur(grid, grid, cv::Size(7, 7), 1.0, 1.0, cv::BORDER_REPLICATE);
  return smoothed;
}

double HeatMap::densest() const {
  const std::vector<float> s = smooth();
  const double cell = static_cast<double>(width_) / columns_ * static_cast<double>(height_) / rows_;
  return static_cast<double>(*std::max_element(s.begin(), s.end())) / cell * 1e6;
}

Image HeatMap::draw(const Slide* slide, int max_side) const {
  const double scale = std::min(1.0, max_side / static_cast<double>(std::max(width_, height_)));
  Image image(std::max(1, static_cast<int>(static_cast<double>(width_) * scale)),
              std::max(1, static_cast<int>(static_cast<double>(height_) * scale)));
  if (slide)
    image = read_scaled(*slide, bounds_ ? box_of(*bounds_) : box_of(scanned_area(*slide)), image.width, image.height);
  else
    std::fill(image.rgb.begin(), image.rgb.end(), uint8_t{255});
  std::vector<float> heat = smooth();
  const float max = *std::max_element(heat.begin(), heat.end());
  cv::Mat grid(rows_, columns_, CV_32F, heat.data()), large;
  cv::resize(grid, large, cv::Size(image.width, image.height), 0, 0, cv::INTER_LINEAR);
  for (int y = 0; y < image.height; ++y) {
    uint8_t* row = image.row(y);
    const float* h = large.ptr<float>(y);
    for (int x = 0; x < image.width; ++x, row += 3) {
      const double v = max > 0 ? static_cast<double>(h[x] / max) : 0;
      const double gray = 0.5 * (0.299 * row[0] + 0.587 * row[1] + 0.114 * row[2]) + 127.5;
      const auto c = ramp(v);
      const double share = 0.9 * std::sqrt(v);
      for (size_t k = 0; k < 3; ++k) row[k] = static_cast<uint8_t>(std::lround(gray + (c[k] - gray) * share));
    }
  }
  const bool measured = slide && slide->mpp_x && slide->mpp_y;
  const double max_boxes = densest() / (measured ? *slide->mpp_x * *slide->mpp_y : 1);
  char text[96];
  std::snprintf(text, sizeof text, max_boxes < 1000 ? "%.4g boxes per %s" : "%.0f boxes per %s", max_boxes,
                measured ? "mm^2" : "megapixel");
  return with_scale(image, text);
}

}  // namespace cytodet::tiling
