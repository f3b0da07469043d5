// What is known of one node's outputs before data.
#pragma once

#include <vector>

#include "graph/ir/op.h"

namespace cytodet::graph {

// `in`: facts of the node's inputs; `value`: the tensor of a Const, else null. Outputs get `constant` where all inputs have it
// and no output is larger than fold_bytes. Throws Error where the op refuses its inputs; empty for an op that is not known.
std::vector<Fact> facts_of_node(const Node& node, const std::vector<Fact>& in, const Tensor* value, int64_t fold_bytes);

}  // namespace cytodet::graph
