#include "pipeline/tune/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>

#include "pipeline/report/html.h"

namespace cytodet::pipeline {
namespace {

constexpr double kPlotWidth = 800, kPlotHeight = 500, kPlotLeft = 80, kPlotRight = 24, kPlotTop = 44, kPlotBottom = 60;

std::string format(const char* pattern, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(text, sizeof text, pattern, arguments);
  va_end(arguments);
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
    out_ = format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
        "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
        kPlotWidth, kPlotHeight, kPlotWidth, kPlotHeight);
    axes();
    legend();
    std::vector<char> in_front(plot_.points.size(), 0);
    for (size_t i : front_) in_front[i] = 1;
    for (size_t i = 0; i < plot_.points.size(); ++i)
      if (!in_front[i]) dot(i, 3.5, "#b4bcc8", "none");
    line();
    for (size_t i : front_) dot(i, 5.5, "#c2185b", "#ffffff");
    if (plot_.picked < plot_.points.size())
      out_ += format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"10\" fill=\"none\" stroke=\"#0b6e4f\" stroke-width=\"2.5\"/>\n",
                     x(plot_.points[plot_.picked]), y(plot_.points[plot_.picked]));
    return out_ + "</svg>\n";
  }

 private:
  double at_x(double v) const { return kPlotLeft + (v - x_.low) / (x_.high - x_.low) * (kPlotWidth - kPlotLeft - kPlotRight); }
  double at_y(double v) const {
    return kPlotHeight - kPlotBottom - (v - y_.low) / (y_.high - y_.low) * (kPlotHeight - kPlotTop - kPlotBottom);
  }
  double x(const TunePoint& p) const { return at_x(p.per_second); }
  double y(const TunePoint& p) const { return at_y(p.map); }

  void axes() {
    const char* grid = "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#e3e6eb\"/>\n";
    for (int i = 0; i <= std::lround((x_.high - x_.low) / x_.step); ++i) {
      const double v = x_.low + i * x_.step;
      out_ += format(grid, at_x(v), kPlotTop, at_x(v), kPlotHeight - kPlotBottom);
      out_ += format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"#444444\">%.4g</text>\n", at_x(v),
                     kPlotHeight - kPlotBottom + 20, std::fabs(v) < x_.step / 2 ? 0 : v);
    }
    for (int i = 0; i <= std::lround((y_.high - y_.low) / y_.step); ++i) {
      const double v = y_.low + i * y_.step;
      out_ += format(grid, kPlotLeft, at_y(v), kPlotWidth - kPlotRight, at_y(v));
      out_ += format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\" fill=\"#444444\">%.4g</text>\n", kPlotLeft - 8, at_y(v) + 4,
                     std::fabs(v) < y_.step / 2 ? 0 : v);
    }
    out_ += format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s per second</text>\n",
                   (kPlotLeft + kPlotWidth - kPlotRight) / 2, kPlotHeight - 14, escape_html(plot_.unit).c_str());
    out_ += format("<text transform=\"translate(22 %.1f) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
                   (kPlotTop + kPlotHeight - kPlotBottom) / 2, plot_.figure.c_str());
  }

  void legend() {
    out_ += format("<circle cx=\"%.1f\" cy=\"22\" r=\"5.5\" fill=\"#c2185b\"/><text x=\"%.1f\" y=\"26\">Pareto front</text>\n",
                   kPlotLeft + 6, kPlotLeft + 18);
    out_ += format("<circle cx=\"%.1f\" cy=\"22\" r=\"3.5\" fill=\"#b4bcc8\"/><text x=\"%.1f\" y=\"26\">other settings</text>\n",
                   kPlotLeft + 126, kPlotLeft + 138);
    if (plot_.picked < plot_.points.size())
      out_ += format(
          "<circle cx=\"%.1f\" cy=\"22\" r=\"7\" fill=\"none\" stroke=\"#0b6e4f\" stroke-width=\"2.5\"/>"
          "<text x=\"%.1f\" y=\"26\">picked</text>\n",
          kPlotLeft + 254, kPlotLeft + 268);
  }

  void line() {
    if (front_.size() < 2) return;
    std::string path;
    for (size_t i : front_) path += format("%s%.1f,%.1f", path.empty() ? "" : " ", x(plot_.points[i]), y(plot_.points[i]));
    out_ += "<polyline fill=\"none\" stroke=\"#c2185b\" stroke-width=\"1.5\" points=\"" + path + "\"/>\n";
  }

  void dot(size_t i, double radius, const char* fill, const char* edge) {
    const TunePoint& p = plot_.points[i];
    out_ +=
        format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" stroke=\"%s\"><title>", x(p), y(p), radius, fill, edge);
    out_ += format("%s %.4f, %.3g %s/s", plot_.figure.c_str(), p.map, p.per_second, escape_html(plot_.unit).c_str());
    if (i < plot_.labels.size() && !plot_.labels[i].empty()) out_ += ": " + escape_html(plot_.labels[i]);
    out_ += "</title></circle>\n";
  }

  const TunePlot& plot_;
  std::vector<size_t> front_;
  Ticks x_, y_;
  std::string out_;
};

}  // namespace

Ticks ticks_for(double least, double most) {
  if (!(most > least)) {
    const double half = least != 0 ? std::fabs(least) / 10 : 0.5;
    least -= half;
    most += half;
  }
  const double raw = (most - least) / 6, power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (double k : {5.0, 2.0, 1.0})
    if (k * power >= raw * 0.999) step = k * power;
  return {std::floor(least / step) * step, std::ceil(most / step) * step, step};
}

std::string to_svg(const TunePlot& plot) { return Plot(plot).text(); }

}  // namespace cytodet::pipeline
