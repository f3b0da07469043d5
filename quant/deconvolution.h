// Deconvolutions as convolutions, which have INT8 kernels.
#pragma once

#include "graph/ir/graph.h"

namespace cytodet::quant {

// Conv2DBackpropInput of a constant filter [h, w, out, in] and constant sizes, the same stride s both ways, channels last ->
//   Conv2D (stride 1; s * s * out channels: each output pixel's place in its s x s block is a phase with taps of its own)
//   -> DepthToSpace -> Slice, which takes the name.
// Deconvolutions of another form stay. Returns how many were rewritten.
int deconvolutions_to_convolutions(Graph& graph);

}  // namespace cytodet::quant
