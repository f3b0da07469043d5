// A float network whose constants take fewer bits; what is computed stays float.
#pragma once

#include <cstdint>

#include "graph/ir/graph.h"

namespace cytodet::quant {

struct WeightReport {
  int changed = 0;                // constants
  int64_t before = 0, after = 0;  // bytes of all constants of floats
};

// Filters of Conv2D, DepthwiseConv2dNative and MatMul of at least kFewestCodedWeights numbers: symmetric 8-bit values behind
// Dequantize, one scale for each output channel, or one for all. Smaller ones are worth no scales.
constexpr int64_t kFewestCodedWeights = 1024;
WeightReport weights_to_int8(Graph& graph, bool per_channel);

// Float constants of at least kFewestHalves numbers: float16 behind a Cast that has their name. Those beyond its range stay.
constexpr int64_t kFewestHalves = 16;
WeightReport constants_to_float16(Graph& graph);

}  // namespace cytodet::quant
