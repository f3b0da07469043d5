// What is known of each innermost channel of a value.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace cytodet::quant {

struct ChannelExtremes {
  std::vector<float> low, high;  // empty until something was seen

  // Throws Error when the number of channels changes.
  void observe(const Tensor& t);
  void merge(const ChannelExtremes& other);

 private:
  void start(size_t channels);
  void widen(const float* lows, const float* highs);
};

// Mean of each channel.
std::vector<double> channel_means(const Tensor& t);

}  // namespace cytodet::quant
