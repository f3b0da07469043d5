#include "pipeline/report/chart.h"

#include <algorithm>
#include <cmath>

#include "core/rounded_number.h"
#include "core/text_width.h"

namespace cytodet::pipeline {
namespace {

constexpr double kChartLeft = 52, kChartTop = 26, kChartWidth = 198, kChartHeight = 170, kChartKeys = 92, kChartBelow = 46;

constexpr size_t kKeyColumns = 11;

double share_of(const Axis& axis, double v) {
  v = std::clamp(v, axis.low, axis.high);
  if (axis.logarithmic) return std::log(v / axis.low) / std::log(axis.high / axis.low);
  return (v - axis.low) / (axis.high - axis.low);
}

}  // namespace

Axis linear_axis(std::string title, double low, double high) {
  low = std::min(low, 0.0);
  high = std::max(high, low + 1e-9);
  const double raw = (high - low) / 5, power = std::pow(10.0, std::floor(std::log10(raw)));
  const double step = (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10) * power;
  Axis axis{std::move(title), std::floor(low / step) * step, std::ceil(high / step) * step, {}, false};
  for (int i = 0; axis.low + i * step <= axis.high + step / 2; ++i) axis.ticks.push_back(axis.low + i * step);
  return axis;
}

Axis share_axis(std::string title) { return {std::move(title), 0, 1, {0, 0.2, 0.4, 0.6, 0.8, 1}, false}; }

Chart::Chart(std::string_view label, Axis x, Axis y, std::string_view title)
    : x_(std::move(x)),
      y_(std::move(y)),
      svg_(kChartLeft + kChartWidth + kChartKeys, kChartTop + kChartHeight + kChartBelow, Svg::Place::page,
           "role=\"img\" aria-label=\"" + std::string(label) + "\""),
      next_key_(kChartTop + 10) {
  if (!title.empty()) svg_.text({kChartLeft, 14}, title, "font-weight=\"600\"");
  for (const double v : x_.ticks) {
    const double px = at(v, y_.low).x;
    svg_.line({px, kChartTop}, {px, kChartTop + kChartHeight}, "class=\"grid\"");
    svg_.text({px, kChartTop + kChartHeight + 16}, core::rounded(v), "text-anchor=\"middle\"");
  }
  for (const double v : y_.ticks) {
    const double py = at(x_.low, v).y;
    svg_.line({kChartLeft, py}, {kChartLeft + kChartWidth, py}, "class=\"grid\"");
    svg_.text({kChartLeft - 6, py + 4}, core::rounded(v), "text-anchor=\"end\"");
  }
  svg_.text({kChartLeft + kChartWidth / 2, kChartTop + kChartHeight + 36}, x_.title, "text-anchor=\"middle\"");
  svg_.text_upwards({12, kChartTop + kChartHeight / 2}, y_.title);
}

SvgPoint Chart::at(double x, double y) const {
  return {kChartLeft + share_of(x_, x) * kChartWidth, kChartTop + (1 - share_of(y_, y)) * kChartHeight};
}

void Chart::line(std::span<const SvgPoint> values, std::string_view colour, std::string_view attributes) {
  std::vector<SvgPoint> points;
  for (const SvgPoint& v : values) points.push_back(at(v.x, v.y));
  if (points.size() > 1) svg_.polyline(points, "stroke=\"" + std::string(colour) + "\" " + std::string(attributes));
}

void Chart::band(std::span<const SvgPoint> lower, std::span<const SvgPoint> upper, std::string_view colour) {
  std::vector<SvgPoint> points;
  for (const SvgPoint& v : lower) points.push_back(at(v.x, v.y));
  for (size_t i = upper.size(); i-- > 0;) points.push_back(at(upper[i].x, upper[i].y));
  if (points.size() > 2) svg_.polygon(points, "fill=\"" + std::string(colour) + "\" fill-opacity=\"0.18\"");
}

void Chart::dot(SvgPoint value, std::string_view colour, std::string_view tip) {
  svg_.circle(at(value.x, value.y), 3.5, "fill=\"" + std::string(colour) + "\" fill-opacity=\"0.75\"", tip);
}

void Chart::whisker(double x, double low, double high, std::string_view colour) {
  svg_.line(at(x, low), at(x, high), "stroke=\"" + std::string(colour) + "\" stroke-width=\"1.5\"");
}

void Chart::vertical(double x, std::string_view text) {
  const double px = at(x, y_.low).x;
  svg_.line({px, kChartTop}, {px, kChartTop + kChartHeight}, "stroke=\"currentColor\" stroke-dasharray=\"2 3\"");
  svg_.text({px, kChartTop - 3}, text, "text-anchor=\"middle\"");
}

void Chart::key(std::string_view text, std::string_view colour, bool dashed) {
  const double x = kChartLeft + kChartWidth + 8;
  svg_.line({x, next_key_ - 4}, {x + 12, next_key_ - 4},
            "stroke-width=\"2\" stroke=\"" + std::string(colour) + "\"" + (dashed ? " stroke-dasharray=\"4 3\"" : ""));
  svg_.text({x + 16, next_key_}, cut_to_width(text, kKeyColumns));
  next_key_ += 18;
}

std::string Chart::finish() { return svg_.finish(); }

}  // namespace cytodet::pipeline
