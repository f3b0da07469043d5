// A float network whose constants take fewer bits; what is computed stays float.
#pragma once

#include <cstdint>

#include "graph/ir/graph.h"

namespace cytodet::quant {

struct WeightReport {
  int changed = 0;                // constants
  int64_t before = 0, after = 0;  // bytes of all constants of floats
};

// Filters of Conv2D, DepthwiseConv2dNative and MatMul of at least kMinInt8Weights weights become symmetric 8-bit values behind
// Dequantize, with one scale for each output channel, or one for all. In smaller filters the scales would outweigh the gain.
constexpr int64_t kMinInt8Weights = 1024;
WeightReport weights_to_int8(Graph& graph, bool per_channel);

// Float constants of at least kMinFloat16Values values become float16 behind a Cast that takes their name. Constants with values
// beyond float16's range stay.
constexpr int64_t kMinFloat16Values = 16;
WeightReport constants_to_float16(Graph& graph);

}  // namespace cytodet::quant
