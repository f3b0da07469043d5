#include <algorithm>
#include <bit>

#include "exec/kernels/kernels.h"

namespace cytodet::exec {

const KernelSet& kernels(Isa isa) {
  if (isa >= Isa::avx512_bf16) return kAvx512Bf16Kernels;
  if (isa >= Isa::avx512_vnni) return kAvx512VnniKernels;
  if (isa >= Isa::avx512) return kAvx512Kernels;
  if (isa >= Isa::avx2_vnni) return kAvx2VnniKernels;
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

int64_t packed_bytes(int64_t k, int64_t n, int panel, int group) {
  return row_groups(k, group) * 4 * ((n + panel - 1) / panel) * panel;
}

namespace {
template <class To, class From, class Convert>
void pack_groups(const From* b, int64_t k, int64_t n, int panel, int group, To* out, Convert convert) {
  for (int64_t column = 0; column < n; column += panel)
    for (int64_t first = 0; first < k; first += group)
      for (int64_t j = column; j < column + panel; ++j)
        for (int64_t i = first; i < first + group; ++i) *out++ = i < k && j < n ? convert(b[i * n + j]) : To{0};
}
}  // namespace

void pack_codes(const int8_t* b, int64_t k, int64_t n, int panel, int group, void* out) {
  const auto same = [](int8_t x) { return x; };
  if (group == 4)
    pack_groups(b, k, n, panel, 4, static_cast<int8_t*>(out), same);
  else
    pack_groups(b, k, n, panel, 2, static_cast<int16_t*>(out), same);
}

void pack_bf16(const float* b, int64_t k, int64_t n, int panel, void* out) {
  pack_groups(b, k, n, panel, 2, static_cast<uint16_t*>(out), to_bf16);
}

void column_starts(const int8_t* b, int64_t k, int64_t n, int lowest, int32_t* out) {
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < n; ++j) out[j] += lowest * b[i * n + j];
}

uint16_t to_bf16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  if (x != x) return static_cast<uint16_t>(bits >> 16 | 0x40);  // stays not a number
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace cytodet::exec
