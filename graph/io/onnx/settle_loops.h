// The last step of reading a model with loops: every node of a loop reads values of that loop alone, as TensorFlow wants it.
#pragma once

#include "graph/ir/graph.h"

namespace cytodet::graph::onnx {

// Constants that a loop reads become constants of its own, which wait for it; other values from outside go in through an Enter.
// What Builder::add_loop_merge noted of shapes is taken off.
void settle_loops(Graph& graph);

}  // namespace cytodet::graph::onnx
