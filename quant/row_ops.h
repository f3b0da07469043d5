// Ops between convolutions that have INT8 kernels of their own.
#pragma once

#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::quant {

// Where codes go in: numbers of `value` become codes before input `input` of `node` reads them. `op`: the node that is then on
// codes, `node` itself or a sum behind it that takes scaled or upsampled terms.
struct RowInput {
  NodeId op, node;
  size_t input;
  Value value;
};

// Of average pools, means and bilinear resizes that alone read their input. (Other pools, concatenations, reshapes and resizes
// only move numbers: they take the codes of whoever reads them.) Elementwise: then of sums and products of maps and of
// activations too, but not of what a convolution right before them, which nobody else reads, gives: that is done in its epilogue.
std::vector<RowInput> row_inputs(const Graph& graph, bool elementwise);

}  // namespace cytodet::quant
