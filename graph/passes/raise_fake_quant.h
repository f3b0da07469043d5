// FakeQuant nodes as 8-bit layers: what keeps them from it.
#pragma once

#include <string>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// Why the pass raise_fake_quant makes no 8-bit layer of the graph's first layer behind a FakeQuant node: ranges that are
// computed, not finite or empty, other bits, ... Empty: there is no such layer.
std::string why_not_raised(const Graph& g);

}  // namespace cytodet::graph
