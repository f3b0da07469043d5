// The error that 8-bit quantization to a range makes on a histogram's values.
#pragma once

#include <vector>

#include "quant/observers/histogram.h"

namespace cytodet::quant {

constexpr int kMaxValue = 255;

// The values of a histogram: each bin's middle; 0 for the bins beside 0, where exact zeros lie.
struct HistogramPoint {
  float x, count;
};
std::vector<HistogramPoint> points_of(const Histogram& h);

// Sum of squared differences between the values and the same values rounded to unsigned 8 bits over [low, high].
double squared_error(const std::vector<HistogramPoint>& points, double low, double high);

}  // namespace cytodet::quant
