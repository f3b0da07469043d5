// What TensorFlow's remapper writes as one node, as the nodes that it fused.
#pragma once

#include "graph/ir/graph.h"

namespace cytodet::graph {

// _FusedConv2D, _FusedDepthwiseConv2dNative and _FusedMatMul become Conv2D, DepthwiseConv2dNative and MatMul with the ops of
// `fused_ops` behind them, _FusedBatchNormEx a batch norm with its sum and activation; the last keeps the name. A node with a
// fused op that is not known here stays.
void split_fused_ops(Graph& graph);

}  // namespace cytodet::graph
