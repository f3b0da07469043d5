// Products of two computed matrices, and attention: softmax(q * k' + bias) * v.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "exec/steps/row_io.h"

namespace cytodet::exec {

// Matrices that lie anywhere in a map of floats: element (i, j) of matrix b is map[batch[b] + rows[i] + columns[j]].
struct MatrixLayout {
  std::vector<int64_t> batch, rows, columns;
  MatrixLayout transposed() const { return {batch, columns, rows}; }
};

// Row i of the result's matrix b begins at element rows[b * m + i] of a map of `channels` channels, and lies in one pixel.
struct ResultLayout {
  std::vector<int64_t> rows;
  int64_t channels = 1;
};

// scale * a * b, of matrices [m, k] and [k, n]: kernel "matmul".
struct ComputedProduct {
  MatrixLayout a, b;
  float scale = 1;
  ResultLayout result;
};
std::unique_ptr<Step> make_computed_product(const ComputedProduct& product, const StepInput& a, const StepInput& b,
                                            const StepOutput& output);

// softmax(scale * q * k' + bias) * v, with q [m, k], k [n, k] and v [n, width]: kernel "attention". A block of rows stays in the
// cache from the first product to the last.
struct Attention {
  MatrixLayout q, k, v;
  float scale = 1;
  // [n] floats for each row: they begin at bias_batch[b] + i * bias_row of a constant, or of inputs[3].
  std::optional<Tensor> bias;
  std::vector<int64_t> bias_batch;  // empty: no bias
  int64_t bias_row = 0;
  ResultLayout result;
};
// inputs: q, k, v and, where it is not a constant, bias.
std::unique_ptr<Step> make_attention(const Attention& attention, const std::vector<StepInput>& inputs, const StepOutput& output);

}  // namespace cytodet::exec
