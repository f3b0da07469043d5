// Whether stock TensorFlow would load a graph: what it checks of loops and conditions before it runs anything.
#pragma once

#include <string>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// The first thing that is wrong, as one line that names the node; empty when all is well. Looked at: inputs of a node from one
// loop only (a constant inside a loop needs a control input there), one way into each loop, Merge of values that live one at a
// time, types and names that Switch, Merge, Enter, Exit and NextIteration must carry.
std::string problem_in(const Graph& graph);

}  // namespace cytodet::graph
