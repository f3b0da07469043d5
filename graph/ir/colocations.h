// Requests to run a node on the device of another: entries "loc:@other" of the list attribute "_class".
#pragma once

#include <functional>
#include <string_view>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// Erases the entries whose other node `drops` answers true for, and the attribute with its last entry. A node without such
// entries is left as it is.
void erase_colocations(Node& node, const std::function<bool(std::string_view other)>& drops);

}  // namespace cytodet::graph
