// Normalization of values by their own mean and variance: layer, group, instance and root-mean-square norms.
#pragma once

#include <memory>
#include <vector>

#include "exec/steps/row_io.h"

namespace cytodet::exec {

// (x - mean) / sqrt(variance + epsilon) * scale + shift for each element of a map [outer][rows][groups][columns]. Mean and
// variance are those of all rows and columns of the element's group; in a norm that is not centred the mean counts as 0. A layer
// norm has one row and one group, an instance norm one column.
struct Norm {
  int64_t outer = 1, rows = 1, groups = 1, columns = 1;
  float epsilon = 0;
  bool centred = true;
  std::vector<float> scale, shift;  // [groups * columns]
};

// Kernel "norm".
std::unique_ptr<Step> make_norm(const Norm& norm, const StepInput& input, const StepOutput& output);

}  // namespace cytodet::exec
