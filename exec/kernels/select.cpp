#include <algorithm>

#include "exec/kernels/kernels.h"

namespace cytodet {

extern const KernelSet kSse2Kernels, kAvx2Kernels, kAvx512Kernels, kAvx512VnniKernels;

const KernelSet& kernels(Isa isa) {
  if (isa >= Isa::avx512_vnni) return kAvx512VnniKernels;
  if (isa >= Isa::avx512) return kAvx512Kernels;
  if (isa >= Isa::avx2) return kAvx2Kernels;
  return kSse2Kernels;
}

namespace {
const KernelSet* chosen = nullptr;
}
const KernelSet& kernels() { return chosen ? *chosen : kernels(isa()); }
void use_kernels(const KernelSet& set) { chosen = &set; }

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

int64_t packed_codes_size(int64_t k, int64_t n, int panel) { return code_stride(k) * ((n + panel - 1) / panel) * panel; }

void pack_codes(const int8_t* b, int64_t k, int64_t n, int panel, int16_t* out) {
  for (int64_t column = 0; column < n; column += panel)
    for (int64_t pair = 0; pair < code_stride(k); pair += 2)
      for (int64_t j = column; j < column + panel; ++j)
        for (int64_t i = pair; i < pair + 2; ++i) *out++ = i < k && j < n ? b[i * n + j] : int16_t{0};
}

}  // namespace cytodet
