// ONNX's operators in TensorFlow's vocabulary: one entry per operator and meaning.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "graph/io/onnx/call.h"

namespace cytodet::graph::onnx {

struct OnnxOp {
  const char* name;  // with its domain, where that is not ONNX's own: "com.microsoft.Gelu"
  int64_t since;     // the first operator set in which it is read so
  void (*translate)(Call&);
};

std::span<const OnnxOp> onnx_ops();  // by name, then by operator set
// The newest entry whose operator set is not above `opset`; null when there is none.
const OnnxOp* find_onnx_op(std::string_view name, int64_t opset);

// The entries by theme, in graph/io/onnx/ops/.
const std::vector<OnnxOp>& activation_entries();
const std::vector<OnnxOp>& axis_entries();
const std::vector<OnnxOp>& constant_entries();
const std::vector<OnnxOp>& conv_entries();
const std::vector<OnnxOp>& detection_entries();
const std::vector<OnnxOp>& elementwise_entries();
const std::vector<OnnxOp>& gather_entries();
const std::vector<OnnxOp>& loop_entries();
const std::vector<OnnxOp>& norm_entries();
const std::vector<OnnxOp>& pool_entries();
const std::vector<OnnxOp>& product_entries();
const std::vector<OnnxOp>& quantize_entries();
const std::vector<OnnxOp>& recurrent_entries();
const std::vector<OnnxOp>& reduce_entries();
const std::vector<OnnxOp>& resize_entries();
const std::vector<OnnxOp>& sample_entries();
const std::vector<OnnxOp>& shape_entries();

}  // namespace cytodet::graph::onnx
