// What TensorFlow's optimizers write as one node, as the nodes that they came from.
#pragma once

#include "graph/ir/graph.h"

namespace cytodet::graph {

// Ops on quantized values by the names that oneDNN's pass gives them, _MklQuantizedConv2D and the like, get TensorFlow's names
// back; those of TensorFlow 1, which take the layout of each value as another input, stay.
void rename_mkl_ops(Graph& graph);

// _FusedConv2D, _FusedDepthwiseConv2dNative and _FusedMatMul become Conv2D, DepthwiseConv2dNative and MatMul with the ops of
// `fused_ops` behind them, _FusedBatchNormEx a batch norm with its sum and activation; the last keeps the name. A node with a
// fused op that is not known here stays.
void split_fused_ops(Graph& graph);

}  // namespace cytodet::graph
