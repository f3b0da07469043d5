// Loops over the channels of a pixel, a vector at a time.
#pragma once

#include "exec/kernels/vec.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// put(c, columns) for each vector of channels, `columns` of which are valid: the last may have fewer than its width.
template <class Put>
__attribute__((always_inline)) inline void for_channels(int64_t channels, Put put) {
  int64_t c = 0;
  for (; c + V::width <= channels; c += V::width) put(c, V::width);
  if (c < channels) put(c, static_cast<int>(channels - c));
}
inline Vec load_columns(const float* p, int columns) { return columns == V::width ? V::load(p) : V::load_some(p, columns); }
inline void store_columns(float* p, Vec x, int columns) { columns == V::width ? V::store(p, x) : V::store_some(p, x, columns); }

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
