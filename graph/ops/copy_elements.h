// Copies runs of elements of any held type.
#pragma once

#include <algorithm>
#include <cstring>

#include "core/tensor.h"

namespace cytodet::graph::ops {

inline void copy_elements(Tensor& to, int64_t to_index, const Tensor& from, int64_t from_index, int64_t count) {
  if (to.dtype() == DType::string) {
    std::copy_n(from.strings().begin() + from_index, count, to.strings().begin() + to_index);
    return;
  }
  const size_t item = size_of(to.dtype());
  std::memcpy(static_cast<char*>(to.raw()) + static_cast<size_t>(to_index) * item,
              static_cast<const char*>(from.raw()) + static_cast<size_t>(from_index) * item, static_cast<size_t>(count) * item);
}

}  // namespace cytodet::graph::ops
