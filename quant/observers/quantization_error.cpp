#include "quant/observers/quantization_error.h"

#include <algorithm>
#include <cmath>

namespace cytodet::quant {

std::vector<HistogramPoint> points_of(const Histogram& h) {
  std::vector<HistogramPoint> points;
  for (int b = h.first_bin(); b <= h.last_bin(); ++b) {
    auto count = static_cast<float>(h.counts()[static_cast<size_t>(int64_t{Histogram::kBins} + b)]);
    bool at_zero = b == 0 || b == -1;
    if (count > 0) points.push_back({at_zero ? 0.0f : static_cast<float>((b + 0.5) * h.width()), count});
  }
  return points;
}

double squared_error(const std::vector<HistogramPoint>& points, double low, double high) {
  const auto scale = static_cast<float>((high - low) / kMaxValue), per_scale = 1 / scale;
  const auto zero = std::nearbyint(static_cast<float>(-low) * per_scale);
  double sum = 0;
  for (const HistogramPoint& p : points) {
    auto quantized = static_cast<int>(std::clamp(p.x * per_scale + zero + 0.5f, 0.0f, kMaxValue + 0.5f));
    float error = p.x - (static_cast<float>(quantized) - zero) * scale;
    sum += static_cast<double>(p.count) * static_cast<double>(error * error);
  }
  return sum;
}

}  // namespace cytodet::quant
