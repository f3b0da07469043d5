// Ops between convolutions that have INT8 kernels of their own.
#pragma once

#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::quant {

// An input to be quantized: `value` is fake-quantized before input `input` of `node` reads it. `op`: the node that then works on
// quantized values, `node` itself or a sum behind it that takes scaled or upsampled terms.
struct RowInput {
  NodeId op, node;
  size_t input;
  Value value;
};

// The inputs of average pools, means and bilinear resizes that read a value alone, or beside layers that are quantized, so that
// it can be kept in bytes. (Other pools, concatenations, reshapes and resizes only move values: they take the quantization of
// their readers.) With `elementwise` also the inputs of sums, products and activations, except the output of a convolution with
// no other reader: its epilogue does that work.
std::vector<RowInput> row_inputs(const Graph& graph, bool elementwise);

}  // namespace cytodet::quant
