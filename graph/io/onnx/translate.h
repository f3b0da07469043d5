// An ONNX model as a Graph of TensorFlow's ops.
#pragma once

#include "graph/io/onnx/onnx_graph.h"

namespace cytodet::graph::onnx {

constexpr int64_t kFirstOpset = 7, kLastOpset = 21;

// Inputs [n, c, h, w] of images (c is 1, 3 or 4) as the model has them, or as Placeholders [n, h, w, c].
enum class ImageInputs { as_stated, channels_last };

// The operator of a node, with its domain where that is not ONNX's own.
struct OperatorUse {
  std::string name;
  bool is_read = false;
};
// The operators of all nodes outside of branches and bodies; empty where the model's operator set is not read.
std::vector<OperatorUse> operators_of(const OnnxModel& model);

// Inputs become Placeholders, outputs nodes that nobody reads, both under their own names as far as those can be names of nodes
// (names.h). Maps enter and leave as the model has them, [n, c, h, w]; between, they are [n, h, w, c] as far as layout.h gets.
// Throws Error: an operator set out of range, operators that are not read (all of them, with a node each), a node that is
// refused.
Graph translate(const OnnxModel& model, ImageInputs images = ImageInputs::as_stated);

}  // namespace cytodet::graph::onnx
