// The second part of find_errors(): what each kind of error costs.
#pragma once

#include <cstdint>
#include <vector>

#include "eval/error_matching.h"

namespace cytodet::eval {

// Fills ap, gains and counts of `errors`; truths: ground truth boxes per class, those that count.
void compute_costs(const std::vector<Outcome>& outcomes, const std::vector<int64_t>& truths, Errors& errors);

}  // namespace cytodet::eval
