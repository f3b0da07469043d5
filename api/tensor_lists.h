// Tensors on their way in and out.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "cytodet/c.h"

struct cytodet_tensors {
  std::vector<cytodet_tensor> all;
  // What the entries of `all` point to; it stays where it is.
  std::deque<std::string> names;
  std::deque<cytodet::core::Shape> shapes;
  std::vector<cytodet::core::Tensor> values;
};

namespace cytodet::api {

void add_values(cytodet_tensors& to, const std::string& name, core::Tensor values);
// `shape`: null where not even the number of dimensions is known.
void add_description(cytodet_tensors& to, const std::string& name, core::DType dtype, const core::Shape* shape);

// The caller's structs as this version knows them. Throws UsageError: a NULL, a struct_size that cannot be.
std::vector<cytodet_tensor> tensors_of(const cytodet_tensor* tensors, size_t count);
// A copy of the caller's values. Throws UsageError with the name: a type that is not known, a rank or size that is negative or
// too large, data whose size is not that of the shape.
core::Tensor values_of(const cytodet_tensor& tensor);

}  // namespace cytodet::api
