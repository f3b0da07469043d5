// Sums, means, maxima and minima over any dimensions.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/row_io.h"

namespace cytodet::exec {

enum class Reduction { sum, mean, max, min };

// Over the dimensions of `shape` that `reduced` names (as many flags as dimensions): kernel "reduce". Sums are in float over up
// to 512 elements (over up to 32 where the last dimension stays), of those in double.
std::unique_ptr<Step> make_reduce(Reduction reduction, const Shape& shape, const std::vector<bool>& reduced,
                                  const StepInput& input, const StepOutput& output);

}  // namespace cytodet::exec
