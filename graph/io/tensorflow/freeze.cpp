#include "graph/io/tensorflow/freeze.h"

#include <algorithm>
#include <memory>
#include <set>

#include "core/error.h"
#include "core/suggest.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/io/tensorflow/saved_outputs.h"
#include "graph/io/tensorflow/variables.h"
#include "graph/ir/colocations.h"

namespace cytodet::graph {
namespace {

using Initial = std::map<std::string, Value>;  // by the variable's node

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What the initializers and all before them write into variables.
Initial initial_values(const Graph& g, const std::vector<std::string>& initializers) {
  Initial values;
  std::vector<NodeId> open;
  for (const std::string& name : initializers) open.push_back(g.require(name));
  std::set<NodeId> seen(open.begin(), open.end());
  while (!open.empty()) {
    const Node& n = g.node(open.back());
    open.pop_back();
    if ((n.op == "Assign" || n.op == "AssignVariableOp") && n.inputs.size() >= 2 && is_variable(g.node(n.inputs[0].node)))
      values[g.node(n.inputs[0].node).name] = n.inputs[1];
    for (NodeId c : n.controls)
      if (seen.insert(c).second) open.push_back(c);
    for (Value v : n.inputs)
      if (seen.insert(v.node).second) open.push_back(v.node);
  }
  return values;
}

// The constant that an initial value is.
const Tensor& initial_constant(const Graph& g, const std::string& variable, Value v) {
  v = behind_identities(g, v);
  if (const Tensor* t = g.constant(v)) return *t;
  const Node& n = g.node(v.node);
  throw Error("variable " + variable, "is initialized by node " + n.name + " (" + n.op + "), which is no constant",
              "save a checkpoint after the initializers have run");
}

class Freezer {
 public:
  Freezer(MetaGraph meta, const Checkpoint* checkpoint, const FreezeOptions& options)
      : meta_(std::move(meta)), g_(meta_.graph), checkpoint_(checkpoint), options_(options) {}

  Frozen run() {
    find_initial_values();
    const std::string& restore = options_.restore_op.empty() ? meta_.restore_op : options_.restore_op;
    const VariableValues values(checkpoint_, checkpoint_ ? restored_variables(g_, restore) : std::map<std::string, StoredAs>(),
                                options_.names_first ? VariableValues::First::names : VariableValues::First::restored);
    outputs_ = saved_outputs(meta_, options_);
    sweep();
    inline_calls();
    refuse_tables();
    const int frozen = replace(values);
    drop_waiting();
    if (options_.clear_devices) clear_devices();
    sweep();
    name_outputs(g_, outputs_);
    g_.check();
    Frozen result{std::move(g_), {}, frozen};
    for (const SavedOutput& o : outputs_) result.outputs.push_back(result.graph.node(o.node).name);
    result.graph.output_order = result.outputs;
    return result;
  }

 private:
  void sweep() {
    std::vector<NodeId> keep;
    for (const SavedOutput& o : outputs_) keep.push_back(o.node);
    g_.sweep(keep);
  }

  void find_initial_values() {
    for (const auto& [variable, value] : initial_values(g_, options_.initializers))
      initial_.emplace(variable, initial_constant(g_, variable, value));
  }

  void inline_calls() {
    if (g_.library.empty()) return;
    inline_functions(g_, InlineFor::tensorflow);
    // A call that TensorFlow must compile stays, unless it reads variables.
    for (NodeId id : g_.ids())
      for (Value v : g_.node(id).inputs)
        if (g_.node(id).op.ends_with("PartitionedCall") && g_.node(v.node).op == "VarHandleOp") {
          inline_functions(g_, InlineFor::running_here);
          return sweep();
        }
    sweep();
  }

  void refuse_tables() const {
    static const char* const kParts[] = {"HashTable", "LookupTable", "InitializeTable"};
    for (NodeId id : g_.ids()) {
      const Node& n = g_.node(id);
      if (std::none_of(std::begin(kParts), std::end(kParts), [&](const char* p) { return n.op.find(p) != std::string::npos; }))
        continue;
      std::string files;
      for (const std::string& asset : meta_.assets) files += (files.empty() ? "; files of the model: " : ", ") + asset;
      throw Error(node_text(n), "is of a table, whose content no constant can hold" + files,
                  "name outputs that need no table, with freeze_graph --output_node_names");
    }
  }

  bool is_chosen(const std::string& name) const {
    return (options_.only.empty() || contains(options_.only, name)) && !contains(options_.without, name);
  }

  int replace(const VariableValues& values) {
    std::map<NodeId, Tensor> tensors;
    for (NodeId id : g_.ids()) {
      const Node& n = g_.node(id);
      if (!is_variable(n) || !is_chosen(n.name)) continue;
      const auto initial = initial_.find(n.name);
      tensors.emplace(id, initial != initial_.end() ? initial->second : values.read(n));
    }
    replace_variables(g_, tensors);
    return static_cast<int>(tensors.size());
  }

  // Nodes that waited for a variable to be read wait for nothing now: a constant is there from the start.
  void drop_waiting() {
    std::set<NodeId> ready;
    for (NodeId id : g_.topological_order()) {
      Node& n = g_.node(id);
      std::erase_if(n.controls, [&](NodeId c) { return ready.contains(c); });
      if (!n.controls.empty()) continue;
      const bool copy = n.op == "Identity" && n.inputs.size() == 1 && ready.contains(n.inputs[0].node);
      if (n.op == "Const" || copy || (n.op == "NoOp" && n.inputs.empty())) ready.insert(id);
    }
  }

  void clear_devices() {
    for (NodeId id : g_.ids()) {
      g_.node(id).device.clear();
      erase_colocations(g_.node(id), [](std::string_view) { return true; });
    }
  }

  MetaGraph meta_;
  Graph& g_;
  const Checkpoint* checkpoint_;
  const FreezeOptions& options_;
  std::vector<SavedOutput> outputs_;
  std::map<std::string, Tensor> initial_;
};

}  // namespace

Frozen freeze(MetaGraph meta, const Checkpoint* checkpoint, const FreezeOptions& options, const std::string& where) {
  try {
    return Freezer(std::move(meta), checkpoint, options).run();
  } catch (const Error& e) {
    throw e.within(where);
  }
}

Frozen freeze(const Unfrozen& source, const FreezeOptions& options) {
  const bool saved_model = source.kind == ReadableKind::saved_model;
  std::error_code ignored;
  if (!saved_model && !std::filesystem::exists(source.graph_file, ignored))
    throw Error(source.graph_file.string(), "is missing: a checkpoint alone has no graph",
                "name the graph: cytodet freeze_graph --input_graph GRAPH --input_checkpoint " + source.prefix.string());
  MetaGraph meta = saved_model ? read_saved_model(source.graph_file, options.tags) : read_meta_graph(source.graph_file);
  std::unique_ptr<Checkpoint> checkpoint;
  // A SavedModel without variables has no checkpoint.
  if (!saved_model || std::filesystem::exists(source.prefix.string() + ".index", ignored))
    checkpoint = std::make_unique<Checkpoint>(source.prefix);
  return freeze(std::move(meta), checkpoint.get(), options, source.graph_file.string());
}

}  // namespace cytodet::graph
