// Layers as codes need them: channels innermost, filters as they are multiplied.
#pragma once

#include "graph/graph.h"

namespace cytodet {

// MatMul with a transposed float filter -> with the filter stored that way. Other nodes stay.
void store_transposed(Graph& graph, NodeId id);

bool is_channels_first(const Node& n);

// Conv2D or DepthwiseConv2dNative of [n, c, h, w] -> Transpose, the same of [n, h, w, c], Transpose. The last takes the name; the
// convolution is returned.
NodeId put_channels_last(Graph& graph, NodeId id);

}  // namespace cytodet
