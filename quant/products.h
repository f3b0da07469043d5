// The sums of products that learned rounding consists of, compiled for each instruction set. Answers differ between sets in the
// last bits of a float; they never depend on threads.
#pragma once

#include <cstdint>

namespace cytodet::quant {

// sums[i, j] += sum over rows of x[row, i] * x[row, j], for j >= i; sums below the diagonal (j < i) are left with any values.
// x: [rows, n]; sums: n rows, `stride` apart.
void add_products(const float* x, int64_t rows, int64_t n, float* sums, int64_t stride);

// Columns of x in weighted_rows and add_outer.
constexpr int kColumns = 16;

// out[column] = sum over i of factor[i] * x[i, column]; x: [n, kColumns].
void weighted_rows(const float* factor, const float* x, int64_t n, float* out);
// x[i, column] += factor[i] * step[column].
void add_outer(const float* factor, const float* step, int64_t n, float* x);

}  // namespace cytodet::quant
