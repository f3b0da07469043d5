// Dilated convolutions as they were written before TensorFlow's convolutions knew dilations, and as Keras still writes them:
//
//   x ─▶ SpaceToBatchND [b, b] ─▶ convolution, VALID, stride 1 [─▶ BiasAdd] ─▶ BatchToSpaceND [b, b]
//
// is a convolution of x with dilation b. What is padded before and not cropped behind is its padding.
#pragma once

#include <array>
#include <functional>
#include <optional>

#include "graph/ir/graph.h"

namespace cytodet::graph {

struct BatchDilation {
  std::array<int64_t, 2> dilation;  // over height and width, 1 to 256
  std::array<int64_t, 4> padding;   // top, bottom, left, right; 0 to 1024
};
// The dilation that a convolution has by standing between SpaceToBatchND `before` and BatchToSpaceND `after`; `constant` gives
// the value of an input, or null. Empty where the nodes are of other ops, not of two spatial dimensions, of unknown or differing
// sizes, or where the convolution has padding, strides or dilations of its own. Who reads what is the caller's to look at.
std::optional<BatchDilation> batch_dilation(const Node& before, const Node& convolution, const Node& after,
                                            const std::function<const Tensor*(Value)>& constant);

}  // namespace cytodet::graph
