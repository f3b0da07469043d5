// What the steps of grouped convolutions need for KernelSet::grouped_row and grouped_row_q8.
#pragma once

#include "exec/steps/grouped_step.h"

namespace cytodet::exec {

constexpr int64_t kMaxGroupRows = 64;  // rows of the map that a window spans

// Whether there is a kernel for these groups: as many channels out as in, few of them.
bool takes_group_rows(const KernelSet& set, const GroupedConv& conv);

// GroupedRow::weights, of floats and of quantized weights.
FloatBuffer pack_group_weights(const KernelSet& set, const GroupedConv& conv);
Buffer<int8_t> pack_quantized_group_weights(const KernelSet& set, const GroupedConv& conv);

// GroupedRow::pixels of a row of the result: rows[i] is row i of the map from the windows' first row on, null outside of the map,
// and `outside` a pixel of zeros.
template <class T>
void find_group_pixels(const ConvShape& s, const T* const* rows, const T* outside, const T** pixels) {
  for (int ky = 0; ky < s.kernel_h; ++ky) {
    const T* row = rows[ky * s.dilation_h];
    for (int kx = 0; kx < s.kernel_w; ++kx)
      for (int64_t x = 0; x < s.out_w; ++x) {
        const int64_t column = x * s.stride_w - s.pad_left + int64_t{kx} * s.dilation_w;
        *pixels++ = row && column >= 0 && column < s.in_w ? row + column * s.in_c : outside;
      }
  }
}

}  // namespace cytodet::exec
