// Matrix product, as MatMul and the quantized operators need it.
#pragma once

#include "graph/io/onnx/call.h"

namespace cytodet::graph::onnx {

// NumPy's matmul: x [..., m, k] w [..., k, n], lists of numbers as rows and columns.
Value product_of(Builder& b, Value x, Value w);

}  // namespace cytodet::graph::onnx
