// Nodes on maps [n, c, h, w] as nodes on maps [n, h, w, c].
#pragma once

#include "graph/ir/op.h"

namespace cytodet::graph {

// The rank of the maps of a node that works on them channels first (Conv2D, Conv3D, DepthwiseConv2dNative, Conv2DBackpropInput,
// pools, batch norms, BiasAdd, DepthToSpace, SpaceToDepth): 4, or 5 of volumes. 0: it does not, or has no form that works on them
// channels last.
int64_t channels_first_rank(const Graph& graph, const Facts& facts, NodeId id);

// x ─▶ node ─▶  becomes  x ─▶ Transpose ─▶ node channels last ─▶ Transpose ─▶, where the second Transpose takes the node's name.
// The node channels last is returned. rank: as channels_first_rank gives it.
NodeId put_channels_last(Graph& graph, NodeId id, int64_t rank);

}  // namespace cytodet::graph
