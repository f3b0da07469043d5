#include "tiling/slides/level_ratio.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "core/error.h"

namespace cytodet::tiling {
namespace {

constexpr int kScan = 20;              // places looked at for content, each way
constexpr int kScanSide = 256;         // level pixels of such a place
constexpr int kScanShrink = 8;         // it is read at an eighth
constexpr size_t kCompared = 6;        // places compared
constexpr double kContent = 4;         // gray levels that a place deviates by, at least
constexpr double kCorrelates = 0.5;    // a ratio under which the levels correlate less is not shown by them
constexpr double kRatioMargin = 0.05;  // and it must beat the next by this
constexpr double kNear = 0.1;          // a ratio this near to a power of two is that power where nothing can be compared

// Level-0 pixels per pixel, x and y.
using Ratio = std::array<double, 2>;

struct PatchPlace {
  int64_t x = 0, y = 0;
  double deviation = 0;
};

double stated(double full, double level) { return full / level; }

cv::Mat gray_of(const Image& image) {
  const cv::Mat rgb(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.rgb.data()));
  cv::Mat gray;
  cv::cvtColor(rgb, gray, cv::COLOR_RGB2GRAY);
  return gray;
}

double deviation_of(const cv::Mat& gray) {
  cv::Scalar mean, deviation;
  cv::meanStdDev(gray, mean, deviation);
  return deviation[0];
}

// Places of a level that hold something, the best first: much contrast, far from the origin, where ratios differ most.
std::vector<PatchPlace> places_of(const Slide& slide, int level) {
  const LevelInfo& l = slide.levels[static_cast<size_t>(level)];
  std::vector<PatchPlace> found;
  const auto at = [](int64_t length, int i) {
    return std::max<int64_t>(0, (length - kScanSide) * i / (kScan - 1)) / kScanShrink * kScanShrink;
  };
  Image small(kScanSide / kScanShrink, kScanSide / kScanShrink);
  for (int row = 0; row < kScan; ++row)
    for (int column = 0; column < kScan; ++column) {
      PatchPlace p{at(l.width, column), at(l.height, row), 0};
      try {
        slide.read_downsampled(level, p.x, p.y, kScanSide, kScanSide, kScanShrink, small.rgb.data());
      } catch (const Error&) {
        continue;
      }
      p.deviation = deviation_of(gray_of(small));
      if (p.deviation > kContent) found.push_back(p);
    }
  const auto worth = [&](const PatchPlace& p) {
    return p.deviation *
           (static_cast<double>(p.x) / static_cast<double>(l.width) + static_cast<double>(p.y) / static_cast<double>(l.height));
  };
  std::stable_sort(found.begin(), found.end(), [&](const PatchPlace& a, const PatchPlace& b) { return worth(a) > worth(b); });
  if (found.size() > kCompared) found.resize(kCompared);
  return found;
}

// How well a square of the level and the finer level's area under it agree, -1 to 1, when the level is `step` times as coarse.
double correlation(const Slide& slide, int level, const PatchPlace& p, int side, const Ratio& step) {
  Image coarse(side, side);
  slide.read(level, p.x, p.y, side, side, coarse.rgb.data());
  const auto from = [](int64_t v, double k) { return std::llround(static_cast<double>(v) * k); };
  const int64_t x0 = from(p.x, step[0]), y0 = from(p.y, step[1]);
  Image fine(static_cast<int>(from(p.x + side, step[0]) - x0), static_cast<int>(from(p.y + side, step[1]) - y0));
  slide.read(level - 1, x0, y0, fine.width, fine.height, fine.rgb.data());
  cv::Mat downsampled, result;
  cv::resize(gray_of(fine), downsampled, cv::Size(side, side), 0, 0, cv::INTER_AREA);
  const cv::Mat own = gray_of(coarse);
  if (deviation_of(own) < 1 || deviation_of(downsampled) < 1) return 0;
  cv::matchTemplate(own, downsampled, result, cv::TM_CCOEFF_NORMED);
  return result.at<float>(0, 0);
}

// The hypothesis that the pixels show; -1: they decide nothing.
int shown_by_pixels(const Slide& slide, int level, const Ratio& finer, const std::vector<Ratio>& hypotheses) {
  const double step = hypotheses[0][0] / finer[0];
  const int side = std::clamp(static_cast<int>(2048 / step), 32, 192);
  std::vector<double> sums(hypotheses.size());
  int compared = 0;
  for (const PatchPlace& p : places_of(slide, level)) {
    try {
      std::vector<double> values;
      for (const Ratio& h : hypotheses) values.push_back(correlation(slide, level, p, side, {h[0] / finer[0], h[1] / finer[1]}));
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += values[i];
      ++compared;
    } catch (const Error&) {
      // a damaged place proves nothing
    }
  }
  if (compared == 0) return -1;
  const size_t best = static_cast<size_t>(std::max_element(sums.begin(), sums.end()) - sums.begin());
  double next = -1;
  for (size_t i = 0; i < sums.size(); ++i)
    if (i != best) next = std::max(next, sums[i] / compared);
  const double max = sums[best] / compared;
  return max >= kCorrelates && max >= next + kRatioMargin ? static_cast<int>(best) : -1;
}

bool is_power_of_two(double v) { return v >= 1 && std::exp2(std::round(std::log2(v))) == v; }

// Whole numbers that padding explains in both directions; empty also where one is explained by rounding alone.
std::vector<double> padded_ratios(const LevelInfo& full, const LevelInfo& level, double finer, double step) {
  const double rx = stated(static_cast<double>(full.width), static_cast<double>(level.width)),
               ry = stated(static_cast<double>(full.height), static_cast<double>(level.height));
  std::vector<double> tried;
  for (double p = 2; p < double(1 << 24); p *= 2) tried.push_back(p);
  for (double p : {std::floor(std::min(rx, ry)), std::round(rx), std::round(ry), std::ceil(std::max(rx, ry)), finer * step})
    if (p >= 2 && p == std::round(p)) tried.push_back(p);
  std::sort(tried.begin(), tried.end());
  tried.erase(std::unique(tried.begin(), tried.end()), tried.end());
  std::vector<double> fit;
  for (double p : tried) {
    if (p <= finer) continue;
    const RatioFit x = ratio_fit({full.width, full.tile_width}, {level.width, level.tile_width}, p),
                   y = ratio_fit({full.height, full.tile_height}, {level.height, level.tile_height}, p);
    if (x == RatioFit::rounding && y == RatioFit::rounding) return {};
    if (x != RatioFit::none && y != RatioFit::none) fit.push_back(p);
  }
  return fit;
}

// What is likely where no pixels decide: the step of the levels before, else a power of two nearby, else no change (0).
double likely_ratio(const std::vector<double>& fit, double measured, double finer, double step) {
  for (double p : fit)
    if (step > 0 && p == finer * step) return p;
  for (double p : fit)
    if (is_power_of_two(p) && std::abs(measured / p - 1) < kNear) return p;
  return 0;
}

}  // namespace

RatioFit ratio_fit(StoredLength full, StoredLength level, double ratio) {
  const double extra = static_cast<double>(level.pixels) - static_cast<double>(full.pixels) / ratio;
  if (std::abs(extra) <= 1) return RatioFit::rounding;
  const bool level_whole = level.side > 0 && level.pixels % level.side == 0,
             full_whole = full.side > 0 && full.pixels % full.side == 0;
  if (extra > 0) return level_whole && extra <= static_cast<double>(level.side) + 1 ? RatioFit::padding : RatioFit::none;
  return full_whole && -extra <= static_cast<double>(full.side) / ratio + 1 ? RatioFit::padding : RatioFit::none;
}

void settle_level_ratios(Slide& slide) {
  const LevelInfo& full = slide.levels[0];
  std::vector<double> settled(slide.levels.size(), 0);  // 0: as it is
  Ratio finer{1, 1};
  double step = 0;
  for (size_t i = 1; i < slide.levels.size(); ++i) {
    const LevelInfo& l = slide.levels[i];
    const Ratio measured{stated(static_cast<double>(full.width), static_cast<double>(l.width)),
                         stated(static_cast<double>(full.height), static_cast<double>(l.height))};
    const std::vector<double> fit = padded_ratios(full, l, finer[0], step);
    if (!fit.empty()) {
      std::vector<Ratio> hypotheses{measured};
      for (double p : fit) hypotheses.push_back({p, p});
      const int shown = shown_by_pixels(slide, static_cast<int>(i), finer, hypotheses);
      settled[i] = shown > 0    ? fit[static_cast<size_t>(shown - 1)]
                   : shown == 0 ? 0
                                : likely_ratio(fit, l.downsample, finer[0], step);
    }
    const Ratio own = settled[i] > 0 ? Ratio{settled[i], settled[i]} : measured;
    step = settled[i] > 0 || is_power_of_two(std::round(own[0])) ? std::round(own[0]) / std::round(finer[0]) : 0;
    finer = own;
  }
  for (size_t i = 1; i < slide.levels.size(); ++i) {
    if (settled[i] <= 0) continue;
    LevelInfo& l = slide.levels[i];
    l.codec += " (stored as " + std::to_string(l.width) + " x " + std::to_string(l.height) + ", padded)";
    l.downsample = settled[i];
    l.width = static_cast<int64_t>(std::ceil(static_cast<double>(full.width) / settled[i]));
    l.height = static_cast<int64_t>(std::ceil(static_cast<double>(full.height) / settled[i]));
  }
}

}  // namespace cytodet::tiling
