// Tensors that networks take and give.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "cytodet/detail.h"

namespace cytodet {

// Values of any type, row-major; or the description of an input or output, which has none.
struct Tensor {
  std::string name;                       // of the node that is fed or fetched, "name" or "name:slot"
  cytodet_dtype dtype = CYTODET_FLOAT32;  // of the elements
  std::vector<std::int64_t> shape;        // outermost first; of a description -1 where a size is left open
  bool known_rank = true;                 // of a description: false, not even the number of dimensions is known
  std::vector<unsigned char> bytes;       // of the elements; empty: a description, or a tensor without elements

  Tensor() = default;
  Tensor(std::string node, std::vector<std::int64_t> sizes, const std::vector<float>& values)
      : name(std::move(node)), shape(std::move(sizes)), bytes(values.size() * sizeof(float)) {
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  }
  // The elements of a tensor of CYTODET_FLOAT32.
  std::vector<float> floats() const {
    std::vector<float> values(bytes.size() / sizeof(float));
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
  }
};

namespace detail {

inline Tensor to_tensor(const cytodet_tensor& t) {
  Tensor tensor;
  tensor.name = t.name;
  tensor.dtype = static_cast<cytodet_dtype>(t.dtype);
  tensor.known_rank = t.rank >= 0;
  if (t.rank > 0) tensor.shape.assign(t.shape, t.shape + t.rank);
  const auto* data = static_cast<const unsigned char*>(t.data);
  if (data) tensor.bytes.assign(data, data + t.size);
  return tensor;
}

// Points into `t`.
inline cytodet_tensor to_c(const Tensor& t) {
  return {sizeof(cytodet_tensor), t.name.c_str(), t.dtype,       static_cast<std::int32_t>(t.shape.size()),
          t.shape.data(),         t.bytes.data(), t.bytes.size()};
}

// Takes them over.
inline std::vector<Tensor> to_tensors(cytodet_tensors* owned) {
  const Handle<cytodet_tensors, cytodet_tensors_free> handle(owned);
  std::vector<Tensor> all;
  for (std::size_t i = 0; i < cytodet_tensors_count(owned); ++i) all.push_back(to_tensor(*cytodet_tensors_at(owned, i)));
  return all;
}

}  // namespace detail
}  // namespace cytodet
