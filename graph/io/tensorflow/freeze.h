// Freezing: a graph and its variables become one graph of constants, cut down to what its outputs need.
#pragma once

#include <string>
#include <vector>

#include "graph/io/tensorflow/checkpoint.h"
#include "graph/io/tensorflow/meta_graph.h"
#include "graph/io/tensorflow/unfrozen.h"

namespace cytodet::graph {

struct FreezeOptions {
  std::vector<std::string> tags;           // of the meta graph in a SavedModel
  std::string signature;                   // empty: "serving_default", or the only one
  std::vector<std::string> outputs;        // nodes, or keys of the signature; empty: those of the signature
  bool find_outputs = false;               // where there is no signature either: suggested_outputs
  std::vector<std::string> initializers;   // nodes that set variables, after the checkpoint has been read
  std::vector<std::string> only, without;  // variables, by name, that become constants, or stay variables; empty: all become
  std::string restore_op;                  // empty: the one of the meta graph
  bool names_first = false;                // variables are found by their names before what the restore node says
  bool clear_devices = true;               // and colocations
};

struct Frozen {
  Graph graph;
  std::vector<std::string> outputs;  // nodes
  int variables = 0;                 // that became constants
};

// Throws Error: a variable without a value, one that the outputs write, tables and files of words (assets) that they need.
// `checkpoint` may be null for a graph whose outputs need no variable. `where`: the file that the graph is from.
Frozen freeze(MetaGraph meta, const Checkpoint* checkpoint, const FreezeOptions& options, const std::string& where);
Frozen freeze(const Unfrozen& source, const FreezeOptions& options);

// Nodes that nobody reads and that an input reaches, without those that train, save and log.
std::vector<std::string> suggested_outputs(const Graph& graph);

}  // namespace cytodet::graph
