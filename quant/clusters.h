// Non-uniform weights: the few 8-bit values that stand for a filter's best.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace cytodet::quant {

struct Clusters {
  std::vector<int> levels;  // ascending, at most as many as asked for
  int64_t cost = 0;         // sum over codes of (code - its level)^2
};

// How often each code -128 .. 127 occurs, at [code + 128].
std::vector<int64_t> code_counts(const Tensor& codes);

// The `most` levels of least cost, exactly: on a line every level stands for a run of codes, and is their rounded mean (halves
// away from zero); dynamic programming over runs, O(most * 256^2). `counts`: of code_counts().
Clusters best_clusters(const std::vector<int64_t>& counts, int most);

}  // namespace cytodet::quant
