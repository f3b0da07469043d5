#include "exec/kernels/pack_weights.h"

#include <algorithm>

#include "core/dtype.h"
#include "exec/kernels/kernels.h"

namespace cytodet::exec {

int64_t packed_f32_size(int64_t k, int64_t n, int panel) { return k * ((n + panel - 1) / panel) * panel; }

void pack_f32_weights(const float* b, int64_t k, int64_t n, int panel, float* out) {
  for (int64_t column = 0; column < n; column += panel)
    for (int64_t i = 0; i < k; ++i) {
      int64_t valid = std::min<int64_t>(panel, n - column);
      const float* row = b + i * n + column;
      out = std::copy(row, row + valid, out);
      out = std::fill_n(out, panel - valid, 0.0f);
    }
}

int64_t packed_weights_bytes(int64_t k, int64_t n, int panel, int group) {
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

void pack_q8_weights(const int8_t* b, int64_t k, int64_t n, int panel, int group, void* out) {
  const auto unchanged = [](int8_t x) { return x; };
  if (group == 4)
    pack_groups(b, k, n, panel, 4, static_cast<int8_t*>(out), unchanged);
  else
    pack_groups(b, k, n, panel, 2, static_cast<int16_t*>(out), unchanged);
}

void pack_bf16_weights(const float* b, int64_t k, int64_t n, int panel, void* out) {
  pack_groups(b, k, n, panel, 2, static_cast<uint16_t*>(out), [](float x) { return core::BFloat16(x).bits; });
}

void add_zero_point_corrections(const int8_t* b, int64_t k, int64_t n, int qmin, int32_t* out) {
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < n; ++j) out[j] += qmin * b[i * n + j];
}

}  // namespace cytodet::exec
