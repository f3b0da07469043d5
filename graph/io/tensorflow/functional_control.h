// If, Case and While of library functions -> Switch, Merge, Enter, NextIteration, Exit around calls of those functions.
#pragma once

#include "graph/ir/graph.h"

namespace cytodet::graph {

// If, Case, While, and their Stateless forms.
bool is_functional_control(const Node& n);
// Its values stay under its name. `branches`: the functions of a Case, which its attribute only carries. The type of a While's
// condition is `condition_type`. Throws Error, without the node, when a function is missing.
void lower_functional_control(Graph& graph, NodeId id, const std::vector<FuncAttr>& branches = {},
                              DType condition_type = DType::boolean);

// Inputs of a call, for what is to stand for it. A call runs when all its inputs live, its parts when their own do: where inputs
// live on different conditions, each becomes an Identity that waits for all; so does what comes from a Switch (see is_switch).
// `types`: of the inputs. Returns the node that the parts without inputs must wait for; -1: none.
NodeId gather_inputs(Graph& graph, NodeId id, const std::vector<DType>& types);

// Makes the node an IdentityN of several values; its name and control edges stay. Its users read the values themselves, unless
// they must wait for more (`controls`).
void keep_all(Graph& graph, NodeId id, const std::vector<Value>& values, const AttrList& types,
              const std::vector<NodeId>& controls = {});

}  // namespace cytodet::graph
