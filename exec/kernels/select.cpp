#include <algorithm>

#include "exec/kernels/kernels.h"

namespace cytodet {

extern const KernelSet kSse2Kernels, kAvx2Kernels, kAvx512Kernels;

const KernelSet& kernels(Isa isa) {
  if (isa >= Isa::avx512) return kAvx512Kernels;
  if (isa >= Isa::avx2) return kAvx2Kernels;
  return kSse2Kernels;
}

int64_t packed_size(int64_t k, int64_t n, int panel) { return k * ((n + panel - 1) / panel) * panel; }

void pack_panels(const float* b, int64_t k, int64_t n, int panel, float* out) {
  for (int64_t column = 0; column < n; column += panel)
    for (int64_t i = 0; i < k; ++i) {
      int64_t valid = std::min<int64_t>(panel, n - column);
      const float* row = b + i * n + column;
      out = std::copy(row, row + valid, out);
      out = std::fill_n(out, panel - valid, 0.0f);
    }
}

}  // namespace cytodet
