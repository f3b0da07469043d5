// Which nodes of a saved graph are its outputs, and what they are called in the frozen one.
#pragma once

#include <string>
#include <vector>

#include "graph/io/tensorflow/freeze.h"

namespace cytodet::graph {

struct SavedOutput {
  NodeId node = -1;
  std::string name;  // that it gets when all else is done; empty: it keeps its own
};

// The outputs that the options name, or those of the signature. An output of a function's call, or one that is not the first of
// its node, becomes an Identity that is called as the signature calls it; others stay what they are. Errors list what there is.
std::vector<SavedOutput> saved_outputs(MetaGraph& meta, const FreezeOptions& options);

// Outputs get their names, where those are free.
void name_outputs(Graph& graph, const std::vector<SavedOutput>& outputs);

}  // namespace cytodet::graph
