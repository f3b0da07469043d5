// Whether a label is among the k best scores.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::eval {

enum class Ties { hit, miss };

// hit: TensorFlow's in_top_k, fewer than k classes score strictly more than the label's. miss: the strict rank, fewer than k
// other classes score as much or more. A label outside of the classes, and one whose score is not finite, is a miss.
bool in_top_k(std::span<const float> scores, int64_t label, int k, Ties ties);

// Indices of the k best scores, best first; equal ones in their order, what is no number last. At most scores.size().
std::vector<int> top_k(std::span<const float> scores, int k);

}  // namespace cytodet::eval
