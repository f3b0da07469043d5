// Rows of tensors, as tensor arrays and tensor lists cut and join them.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace cytodet::graph {

void need(bool ok, const std::string& problem);  // throws Error(problem) unless ok

// Items [from, from + count) of the first dimension.
Tensor rows(const Tensor& x, int64_t from, int64_t count);
// All parts one after the other; their sizes add up to that of `shape`.
Tensor joined(const std::vector<Tensor>& parts, Shape shape, DType dtype);
Tensor without_first(const Tensor& x);  // [1, ...] -> [...]
Tensor zeros(DType dtype, Shape shape);
// Parts of one shape under a new first dimension; where there are none, of shape `item`, unknown sizes 0. Throws Error when they
// differ.
Tensor stacked(const std::vector<Tensor>& parts, const Shape& item, DType dtype);
// x cut along its first dimension. Throws Error when the lengths do not fit it.
std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& lengths);
// The shape of the parts joined along their first dimension, and their lengths there. Throws Error when they differ otherwise.
Shape concatenated(const std::vector<Tensor>& parts, std::vector<int64_t>& lengths);

}  // namespace cytodet::graph
