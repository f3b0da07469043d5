// A step that moves elements: padding, slices, transpositions, tiles and the like, whose source index is a sum of one part per
// dimension of the result.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/row_io.h"

namespace cytodet::exec {

constexpr int64_t kFill = -1;  // of Copy::offsets: no element of the input

// result[i0, i1, ...] = input[first + offsets[0][i0] + offsets[1][i1] + ...], or `fill` where any of them is kFill.
struct Copy {
  std::vector<std::vector<int64_t>> offsets;  // in elements, one list per dimension of the result
  int64_t first = 0;
  float fill = 0;
};

// Kernel "copy", of floats, or of q8 values with the fill 0.
std::unique_ptr<Step> make_copy(const Copy& copy, const StepInput& input, const StepOutput& output);

}  // namespace cytodet::exec
