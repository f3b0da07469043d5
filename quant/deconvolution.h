// Deconvolutions as convolutions, which have INT8 kernels.
#pragma once

#include "graph/ir/graph.h"
#include "graph/passes/pass.h"

namespace cytodet::quant {

// Conv2DBackpropInput of a constant filter [h, w, out, in] and constant sizes, the same stride s both ways, channels last ->
//   Conv2D (stride 1; s * s * out channels: each output pixel's place in its s x s block is a phase with taps of its own)
//   [-> BiasAdd] -> DepthToSpace [-> Slice, where the blocks are more than the result]; the last takes the name.
// Conv3DBackpropInputV2 of such a filter [d, h, w, out, in], any strides, `in` a multiple of 8 ->
//   [Pad ->] Conv3D [-> BiasAdd] -> Reshape -> Transpose -> Reshape [-> Slice].
// A bias that alone reads the deconvolution is added to the phases, where it costs nothing; the last then takes the bias' name.
// Deconvolutions of another form stay. Returns how many were rewritten.
int deconvolutions_to_convolutions(Graph& graph, const Interface& io = {});

}  // namespace cytodet::quant
