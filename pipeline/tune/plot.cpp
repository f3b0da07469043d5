#include "pipeline/tune/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "pipeline/report/html.h"
#include "pipeline/report/svg.h"

namespace cytodet::pipeline {
namespace {

constexpr double kPlotWidth = 800, kPlotHeight = 500, kPlotLeft = 80, kPlotRight = 24, kPlotTop = 44, kPlotBottom = 60;

constexpr const char* kFrontColour = "fill=\"#c2185b\"";
constexpr const char* kOtherColour = "fill=\"#b4bcc8\"";
constexpr const char* kPickedRing = "fill=\"none\" stroke=\"#0b6e4f\" stroke-width=\"2.5\"";
constexpr const char* kGridLine = "stroke=\"#e3e6eb\"";

std::string significant(double v, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, v);
  return text;
}

class Plot {
 public:
  explicit Plot(const TunePlot& plot) : plot_(plot), front_(pareto_front(plot.points)) {
    double x0 = 0, x1 = 1, y0 = 0, y1 = 1;
    for (size_t i = 0; i < plot.points.size(); ++i) {
      const TunePoint& p = plot.points[i];
      x0 = i ? std::min(x0, p.per_second) : p.per_second;
      x1 = i ? std::max(x1, p.per_second) : p.per_second;
      y0 = i ? std::min(y0, p.map) : p.map;
      y1 = i ? std::max(y1, p.map) : p.map;
    }
    x_ = ticks_for(x0, x1);
    y_ = ticks_for(y0, y1);
  }

  std::string text() {
    axes();
    legend();
    std::vector<char> in_front(plot_.points.size(), 0);
    for (size_t i : front_) in_front[i] = 1;
    for (size_t i = 0; i < plot_.points.size(); ++i)
      if (!in_front[i]) dot(i, 3.5, kOtherColour);
    line();
    for (size_t i : front_) dot(i, 5.5, std::string(kFrontColour) + " stroke=\"#ffffff\"");
    if (plot_.picked < plot_.points.size()) svg_.circle(at(plot_.points[plot_.picked]), 10, kPickedRing);
    return svg_.finish();
  }

 private:
  double at_x(double v) const { return kPlotLeft + (v - x_.low) / (x_.high - x_.low) * (kPlotWidth - kPlotLeft - kPlotRight); }
  double at_y(double v) const {
    return kPlotHeight - kPlotBottom - (v - y_.low) / (y_.high - y_.low) * (kPlotHeight - kPlotTop - kPlotBottom);
  }
  SvgPoint at(const TunePoint& p) const { return {at_x(p.per_second), at_y(p.map)}; }
  static std::string tick(double v, const Ticks& ticks) { return significant(std::fabs(v) < ticks.step / 2 ? 0 : v, 4); }

  void axes() {
    for (int i = 0; i <= std::lround((x_.high - x_.low) / x_.step); ++i) {
      const double v = x_.low + i * x_.step;
      svg_.line({at_x(v), kPlotTop}, {at_x(v), kPlotHeight - kPlotBottom}, kGridLine);
      svg_.text({at_x(v), kPlotHeight - kPlotBottom + 20}, tick(v, x_), "text-anchor=\"middle\" fill=\"#444444\"");
    }
    for (int i = 0; i <= std::lround((y_.high - y_.low) / y_.step); ++i) {
      const double v = y_.low + i * y_.step;
      svg_.line({kPlotLeft, at_y(v)}, {kPlotWidth - kPlotRight, at_y(v)}, kGridLine);
      svg_.text({kPlotLeft - 8, at_y(v) + 4}, tick(v, y_), "text-anchor=\"end\" fill=\"#444444\"");
    }
    svg_.text({(kPlotLeft + kPlotWidth - kPlotRight) / 2, kPlotHeight - 14},
              (plot_.unit == "mm2" ? "mm²" : plot_.unit) + " per second", "text-anchor=\"middle\"");
    svg_.text_upwards({22, (kPlotTop + kPlotHeight - kPlotBottom) / 2}, plot_.figure);
  }

  void legend() {
    svg_.circle({kPlotLeft + 6, 22}, 5.5, kFrontColour);
    svg_.text({kPlotLeft + 18, 26}, "Pareto front");
    svg_.circle({kPlotLeft + 126, 22}, 3.5, kOtherColour);
    svg_.text({kPlotLeft + 138, 26}, "other settings");
    if (plot_.picked >= plot_.points.size()) return;
    svg_.circle({kPlotLeft + 254, 22}, 7, kPickedRing);
    svg_.text({kPlotLeft + 268, 26}, "picked");
  }

  void line() {
    if (front_.size() < 2) return;
    std::vector<SvgPoint> points;
    for (size_t i : front_) points.push_back(at(plot_.points[i]));
    svg_.polyline(points, "stroke=\"#c2185b\" stroke-width=\"1.5\"");
  }

  void dot(size_t i, double radius, const std::string& attributes) {
    const TunePoint& p = plot_.points[i];
    std::string tip = plot_.figure + " " + rounded(p.map, 4) + ", " + significant(p.per_second, 3) + " " + plot_.unit + "/s";
    if (i < plot_.labels.size() && !plot_.labels[i].empty()) tip += ": " + plot_.labels[i];
    svg_.circle(at(p), radius, attributes, tip);
  }

  const TunePlot& plot_;
  std::vector<size_t> front_;
  Ticks x_, y_;
  Svg svg_{kPlotWidth, kPlotHeight, Svg::Place::file, "font-family=\"sans-serif\" font-size=\"13\""};
};

}  // namespace

Ticks ticks_for(double low, double high) {
  if (!(high > low)) {
    const double half = low != 0 ? std::fabs(low) / 10 : 0.5;
    low -= half;
    high += half;
  }
  const double raw = (high - low) / 6, power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (double k : {5.0, 2.0, 1.0})
    if (k * power >= raw * 0.999) step = k * power;
  return {std::floor(low / step) * step, std::ceil(high / step) * step, step};
}

std::string to_svg(const TunePlot& plot) { return Plot(plot).text(); }

}  // namespace cytodet::pipeline
