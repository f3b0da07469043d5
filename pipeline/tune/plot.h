// The search as an image: mAP against speed, the front as a line. SVG, nothing but text.
#pragma once

#include <string>
#include <vector>

#include "pipeline/tune/pareto_front.h"

namespace cytodet::pipeline {

struct TunePlot {
  std::string unit = "images";  // per second
  std::vector<TunePoint> points;
  std::vector<std::string> labels;  // of the points; shown when the mouse rests on one
  size_t picked = static_cast<size_t>(-1);
  std::string figure = "mAP";  // what TunePoint::map is
};

std::string to_svg(const TunePlot& plot);

// Ends of an axis and the step between its ticks: 1, 2 or 5 times a power of ten, 4 to 10 steps.
struct Ticks {
  double low = 0, high = 1, step = 0.1;
};
Ticks ticks_for(double low, double high);

}  // namespace cytodet::pipeline
