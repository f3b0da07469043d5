// TensorFlow's layers on 8-bit integers, by their ops: QuantizedConv2D, QuantizedDepthwiseConv2D and QuantizedMatMul, whose names
// list what is fused, and _FusedQuantizedConv2D and its like, whose attribute fused_ops does. What the numbers mean is in
// graph/ops/integer_layers.cpp.
#pragma once

#include <optional>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

struct IntegerLayer {
  enum class Product { conv, depthwise, matmul };
  // sums: 32-bit integers and their range; quantized values: 8-bit integers and the range that was given; floats: numbers, alone.
  enum class Result { sums, quantized, floats };
  Product product = Product::conv;
  Result result = Result::sums;
  bool relu = false;
  // Indices of inputs; -1: there is none. A range is two inputs, its minimum at the index.
  int bias = -1, summand = -1;
  int input_range = -1, filter_range = -1, summand_range = -1, result_range = -1;
  size_t inputs = 0;  // how many there are
};

// Empty where the op is no such layer, or fuses what is not known.
std::optional<IntegerLayer> integer_layer(const Node& n);
// All ops of the table.
std::vector<const char*> integer_layer_names();

// The layer's node as a convolution whose padding is an explicit list where the attribute padding_list states one.
Node with_explicit_padding(const Node& n);

}  // namespace cytodet::graph
