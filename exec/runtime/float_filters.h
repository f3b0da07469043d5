// Filters that are stored in 8 bits, of layers that compute in float.
#pragma once

#include <optional>

#include "graph/ir/graph.h"

namespace cytodet::exec {

// A copy in which such filters are float constants, as kernels want them: dequantized once, not in every run. Empty: there are
// none. Quantized layers (graph/quantized/quant_nodes.h) keep theirs.
std::optional<Graph> with_float_filters(const Graph& graph);

}  // namespace cytodet::exec
