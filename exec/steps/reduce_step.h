// Sums, means, maxima and minima over any dimensions.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/row_io.h"

namespace cytodet::exec {

enum class Reduction { sum, mean, max, min };

// Reduces the dimensions of `shape` whose flag in `reduced` is set (one flag for each dimension): kernel "reduce". A sum is of
// double, added up from float sums of up to 512 elements (up to 32 where the last dimension stays).
std::unique_ptr<Step> make_reduce(Reduction reduction, const Shape& shape, const std::vector<bool>& reduced,
                                  const StepInput& input, const StepOutput& output);

}  // namespace cytodet::exec
