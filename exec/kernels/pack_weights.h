// Weights [k, n], row-major, into the layouts of kernels.h.
#pragma once

#include <cstdint>

namespace cytodet::exec {

// Floats that packed f32 weights [k, n] take; `panel` as in the KernelSet.
int64_t packed_f32_size(int64_t k, int64_t n, int panel);
void pack_f32_weights(const float* b, int64_t k, int64_t n, int panel, float* out);
// Bytes that packed weights with `group` elements in 4 bytes take.
int64_t packed_weights_bytes(int64_t k, int64_t n, int panel, int group);
void pack_q8_weights(const int8_t* b, int64_t k, int64_t n, int panel, int group, void* out);
void pack_bf16_weights(const float* b, int64_t k, int64_t n, int panel, void* out);
// out[c] += qmin * sum of column c (PackedQ8Weights::zero_point_corrections).
void add_zero_point_corrections(const int8_t* b, int64_t k, int64_t n, int qmin, int32_t* out);

}  // namespace cytodet::exec
