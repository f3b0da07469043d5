// If, Case and While of library functions -> Switch, Merge, Enter, NextIteration, Exit around calls of those functions.
#pragma once

#include "graph/graph.h"

namespace cytodet {

// If, Case, While, and their Stateless forms.
bool is_functional_control(const Node& n);
// Its values stay under its name. `branches`: the functions of a Case, which its attribute only carries. Throws Error, without
// the node, when a function is missing.
void lower_functional_control(Graph& graph, NodeId id, const std::vector<FuncAttr>& branches = {});

// Makes the node an IdentityN of several values, which its users read instead; its name and control edges stay.
void keep_all(Graph& graph, NodeId id, const std::vector<Value>& values, const AttrList& types);

}  // namespace cytodet
