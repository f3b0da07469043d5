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

// A row of the result, without weights and activation. rows[i] is row i of the map from the windows' first row on, null outside
// of the map; `outside` is a pixel of zeros; `pixels` gets GroupedRow::pixels.
template <class T>
GroupedRow<T> group_row(const ConvShape& s, int64_t group, const T* const* rows, const T* outside, const T** pixels) {
  GroupedRow<T> job;
  job.pixels = pixels;
  job.taps = static_cast<int>(s.taps());
  job.group = static_cast<int>(group);
  job.width = s.out_w;
  job.channels = s.out_c;
  for (int ky = 0; ky < s.kernel_h; ++ky) {
    const T* row = rows[ky * s.dilation_h];
    for (int kx = 0; kx < s.kernel_w; ++kx)
      for (int64_t x = 0; x < s.out_w; ++x) {
        const int64_t column = x * s.stride_w - s.pad_left + int64_t{kx} * s.dilation_w;
        *pixels++ = row && column >= 0 && column < s.in_w ? row + column * s.in_c : outside;
      }
  }
  return job;
}

}  // namespace cytodet::exec
