// Filters as INT8 needs them.
#pragma once

#include "graph/ir/graph.h"

namespace cytodet::quant {

// MatMul with a transposed float filter -> with the filter stored that way. Other nodes stay.
void store_transposed(Graph& graph, NodeId id);

}  // namespace cytodet::quant
