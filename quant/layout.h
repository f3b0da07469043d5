// Layers as INT8 needs them: channels innermost, filters as they are multiplied.
#pragma once

#include "graph/ir/graph.h"

namespace cytodet::quant {

// MatMul with a transposed float filter -> with the filter stored that way. Other nodes stay.
void store_transposed(Graph& graph, NodeId id);

// Conv2D or DepthwiseConv2dNative of [n, c, h, w] -> Transpose, the same of [n, h, w, c], Transpose. The last takes the name; the
// convolution is returned.
NodeId put_channels_last(Graph& graph, NodeId id);

}  // namespace cytodet::quant
