// A chart with two axes, as <svg> that takes the page's colours.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/report/svg.h"

namespace cytodet::pipeline {

struct Axis {
  std::string title;
  double low = 0, high = 1;  // high > low
  std::vector<double> ticks;
  bool logarithmic = false;  // low > 0
};
// From 0 (or `low` below it) to at least `high`, with about five ticks at 1, 2 or 5 times a power of ten.
Axis linear_axis(std::string title, double low, double high);
Axis share_axis(std::string title);  // 0 to 1

class Chart {
 public:
  // `label`: what the picture shows, for those who cannot see it.
  Chart(std::string_view label, Axis x, Axis y, std::string_view title = {});

  // Values beyond an axis are put at its end.
  SvgPoint at(double x, double y) const;
  void line(std::span<const SvgPoint> values, std::string_view colour, std::string_view attributes = "stroke-width=\"2\"");
  void band(std::span<const SvgPoint> lower, std::span<const SvgPoint> upper, std::string_view colour);
  void dot(SvgPoint value, std::string_view colour, std::string_view tip);
  void whisker(double x, double low, double high, std::string_view colour);
  void vertical(double x, std::string_view text);
  // A line below the others beside the chart.
  void key(std::string_view text, std::string_view colour, bool dashed = false);

  std::string finish();

 private:
  Axis x_, y_;
  Svg svg_;
  double next_key_;
};

}  // namespace cytodet::pipeline
