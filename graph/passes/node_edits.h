// What passes do to nodes.
#pragma once

#include <set>
#include <string_view>
#include <vector>

#include "graph/ir/op.h"
#include "graph/passes/pass.h"

namespace cytodet::graph {

// Ids of the outputs that the interface names (or finds), and of its inputs and all Placeholders.
std::set<NodeId> output_ids(const Graph& g, const Interface& io);
std::set<NodeId> input_ids(const Graph& g, const Interface& io);
// Removes what neither outputs nor inputs need.
void sweep(Graph& g, const Interface& io);

// Adds control inputs, each once.
void wait_for(Node& n, const std::vector<NodeId>& controls);
// A new constant in place of an old one (or of what is made of it): it waits for what that waited for, and so lives in the same
// loop and on the same conditions.
Value add_const_like(Graph& g, Value old, std::string_view base, Tensor tensor);

}  // namespace cytodet::graph
