// Convolutions of several groups, which read only a part of their input's channels each.
#pragma once

#include <set>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// Makes each of these Conv2D that has several groups one Conv2D per group between Split and ConcatV2: TensorFlow fuses what
// follows a convolution, and its fused kernels know no groups. Nodes of other ops are left alone. Returns the convolutions of
// which the number of groups is not known.
std::vector<NodeId> split_groups(Graph& graph, const std::set<NodeId>& convolutions);

}  // namespace cytodet::graph
