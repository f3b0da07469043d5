// Convolution, as Conv and the quantized operators need it.
#pragma once

#include <optional>

#include "graph/io/onnx/spatial.h"

namespace cytodet::graph::onnx {

// The attributes of `c` applied to x [n, c, ...] and w [o, c / groups, ...].
Value conv_of(const Call& c, Value x, Value w, std::optional<Value> bias);

// A filter [h, w, 1, groups * m] as TensorFlow's depthwise convolution reads it, [h, w, groups, m].
Value depthwise_filter(Builder& b, Value filter, int64_t groups);

}  // namespace cytodet::graph::onnx
