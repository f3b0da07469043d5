// Variables of a graph: which nodes they are, where their values lie, and constants in their place.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "graph/io/tensorflow/checkpoint.h"
#include "graph/ir/graph.h"

namespace cytodet::graph {

bool is_variable(const Node& node);         // VariableV2, VarHandleOp, ...
bool writes_variables(const Node& node);    // Assign, AssignVariableOp, ScatterUpdate, ApplyAdam, ...
DType variable_type(const Node& variable);  // of its value

// What stands behind Identities.
Value behind_identities(const Graph& graph, Value value);

// A tensor of a checkpoint, or a part of one (see parse_slice_request).
struct StoredAs {
  std::string key, slice;
};

// What the graph's own restore node writes into each variable, by the variable's node name: RestoreV2 -> Assign or
// AssignVariableOp, also inside of functions. Empty where the node is not there or does something else.
std::map<std::string, StoredAs> restored_variables(const Graph& graph, const std::string& restore_op);

// Values of variables from a checkpoint. Looked for by `restored`, by name, by the checkpoint's graph of objects, and as parts of
// a variable that is stored in slices.
class VariableValues {
 public:
  enum class First { restored, names };
  // A null checkpoint has no values.
  VariableValues(const Checkpoint* checkpoint, std::map<std::string, StoredAs> restored, First first);
  // Throws Error: no value, several, or one of another type or shape than the variable's.
  Tensor read(const Node& variable) const;

 private:
  std::vector<StoredAs> candidates(const Node& variable) const;
  Error missing(const Node& variable) const;

  const Checkpoint* checkpoint_;
  std::map<std::string, StoredAs> restored_;
  std::multimap<std::string, std::string> objects_;
  First first_;
};

// Puts `values` in the place of variables, by their ids: a Const for what is read, and for all that a handle or reference goes
// through (Switch, Merge, Enter, Identity, ReadVariableOp, ResourceGather, ...) its form for values. Throws Error that names what
// else is done with the variable.
void replace_variables(Graph& graph, const std::map<NodeId, Tensor>& values);

}  // namespace cytodet::graph
