// What 8-bit values of a range keep of a histogram's numbers.
#pragma once

#include <vector>

#include "quant/observers/histogram.h"

namespace cytodet::quant {

constexpr int kMaxValue = 255;

// Numbers of a histogram: each bin's middle; 0 for the bins beside 0, where exact zeros lie.
struct HistogramPoint {
  float x, count;
};
std::vector<HistogramPoint> points_of(const Histogram& h);

// Sum of squared differences between the values and what unsigned 8-bit values of [low, high] keep of them.
double squared_error(const std::vector<HistogramPoint>& points, double low, double high);

}  // namespace cytodet::quant
