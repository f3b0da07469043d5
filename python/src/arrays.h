// Tensors as arrays of numpy.
#pragma once

#include <string>
#include <vector>

#include "python/src/binding.h"

namespace cytodet::python {

// (name, cytodet_dtype, C-contiguous array)
struct Feed {
  std::string name;
  int32_t dtype = 0;
  nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu> array;
  std::vector<int64_t> shape;

  // Valid while this object lives.
  cytodet_tensor tensor() const;
};
Feed feed_of(const nb::handle& given);

// [(name, cytodet_dtype, array)], and frees the tensors. bfloat16 comes as uint16.
nb::list list_of_tensors(cytodet_tensors* owned);

// (name, cytodet_dtype, list of sizes or None)
nb::tuple description_of(const cytodet_tensor& tensor);

}  // namespace cytodet::python
