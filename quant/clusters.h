// Non-uniform weights: the few 8-bit values that stand for a filter's best.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace cytodet::quant {

struct Clusters {
  std::vector<int> levels;  // ascending, at most as many as asked for
  int64_t cost = 0;         // sum over values of (value - its level)^2
};

// How often each value -128 .. 127 occurs, at [value + 128].
std::vector<int64_t> value_counts(const Tensor& values);

// The at most `max_levels` levels of the smallest cost, exactly: each level stands for a run of consecutive values and is their
// mean, rounded (.5 away from zero), so that dynamic programming over runs finds them, O(max_levels * 256^2). `counts`: of
// value_counts().
Clusters best_clusters(const std::vector<int64_t>& counts, int max_levels);

}  // namespace cytodet::quant
