#include "graph/io/tensorflow/saved_outputs.h"

#include <algorithm>
#include <iterator>

#include "core/error.h"
#include "core/join.h"
#include "core/suggest.h"
#include "graph/io/tensorflow/variables.h"
#include "graph/ir/endpoints.h"

namespace cytodet::graph {
namespace {

std::vector<std::string> signature_names(const std::vector<Signature>& signatures) {
  std::vector<std::string> names;
  for (const Signature& s : signatures) names.push_back(s.name);
  return names;
}

// Null: there is none, and none is asked for.
const Signature* chosen_signature(const MetaGraph& meta, const std::string& name) {
  const std::vector<Signature>& all = meta.signatures;
  const auto named = [&](const std::string& wanted) {
    const auto it = std::find_if(all.begin(), all.end(), [&](const Signature& s) { return s.name == wanted; });
    return it == all.end() ? nullptr : &*it;
  };
  if (!name.empty()) {
    if (const Signature* s = named(name)) return s;
    if (all.empty()) throw Error("signature " + name, "is not there: the model has no signatures", "name outputs");
    throw Error("signature " + name, "is not there", suggest(name, signature_names(all)));
  }
  if (const Signature* s = named("serving_default")) return s;
  if (all.size() > 1)
    throw Error("", "has several signatures", "choose one with freeze_graph --signature: " + listed(signature_names(all)));
  return all.empty() ? nullptr : &all[0];
}

bool is_call(const Graph& g, const Node& n) {
  return n.op.ends_with("PartitionedCall") || (!g.library.empty() && n.op.starts_with("__"));
}

DType type_of(const Graph& g, Value v, DType stated) {
  const AttrList types = g.node(v.node).attr_or("Tout", AttrList{});
  return static_cast<size_t>(v.slot) < types.types.size() ? types.types[static_cast<size_t>(v.slot)] : stated;
}

// The node itself, or an Identity of its output, which is to be called `name`.
SavedOutput output_at(Graph& g, Value v, const std::string& name, DType type) {
  if (v.slot == 0 && !is_call(g, g.node(v.node))) return {v.node, ""};
  AttrMap attrs;
  attrs.emplace("T", type_of(g, v, type));
  return {g.add_new(name, "Identity", {v}, std::move(attrs)).node, name};
}

SavedOutput output_of(Graph& g, const Signature& signature, const Signature::Output& o) {
  if (o.tensor.empty())
    throw Error("output " + o.key + " of signature " + signature.name, "is composed of several tensors (sparse, ragged)",
                "name the nodes with freeze_graph --output_node_names");
  return output_at(g, g.value(o.tensor), o.key, o.dtype);
}

// A node, or where no node has that name a key of a signature.
SavedOutput named_output(MetaGraph& meta, const FreezeOptions& options, const std::string& name) {
  Graph& g = meta.graph;
  if (g.find(name.substr(0, name.find(':'))) < 0)
    for (const Signature& s : meta.signatures)
      for (const Signature::Output& o : s.outputs)
        if (o.key == name && (options.signature.empty() || options.signature == s.name)) return output_of(g, s, o);
  const Value v = g.value(name);
  if (v.slot == 0) return {v.node, ""};
  std::string identity = name;
  std::replace(identity.begin(), identity.end(), ':', '_');
  return output_at(g, v, identity, DType::f32);
}

bool is_source(const Node& n) {
  return n.op == "Placeholder" || n.op == "PlaceholderV2" || n.op.starts_with("IteratorGetNext") ||
         n.op.starts_with("QueueDequeue");
}

bool is_bystander(const Node& n) {
  static const char* const kOps[] = {"Assert",       "MergeSummary",  "ScalarSummary",   "HistogramSummary",
                                     "ImageSummary", "TensorSummary", "TensorSummaryV2", "AudioSummaryV2",
                                     "SaveV2",       "RestoreV2",     "ShardedFilename", "MergeV2Checkpoints"};
  return writes_variables(n) || is_variable(n) || n.op.starts_with("QueueEnqueue") ||
         std::any_of(std::begin(kOps), std::end(kOps), [&](const char* op) { return n.op == op; });
}

// Derivatives, as tf.gradients names them, and what follows from them.
bool is_training(const Node& n) { return n.name.starts_with("gradients/") || n.name.starts_with("gradients_"); }

// Which nodes an input reaches.
std::vector<char> reached_by_inputs(const Graph& graph) {
  std::vector<char> reached(static_cast<size_t>(graph.capacity()), 0);
  for (NodeId id : graph.topological_order()) {
    const Node& n = graph.node(id);
    const auto is_reached = [&](Value v) { return reached[static_cast<size_t>(v.node)] != 0; };
    reached[static_cast<size_t>(id)] = is_source(n) || std::any_of(n.inputs.begin(), n.inputs.end(), is_reached);
  }
  return reached;
}

}  // namespace

std::vector<std::string> suggested_outputs(const Graph& graph) {
  const std::vector<char> reached = reached_by_inputs(graph);
  const Consumers consumers(graph);
  const auto aside = [&](NodeId id) { return is_bystander(graph.node(id)) || is_training(graph.node(id)); };
  std::vector<std::string> names;
  for (NodeId id : graph.ids()) {
    if (!reached[static_cast<size_t>(id)] || is_source(graph.node(id)) || graph.node(id).op == "NoOp" || aside(id)) continue;
    const auto& uses = consumers.of(id);
    const auto& controls = consumers.controls_of(id);
    if (std::all_of(uses.begin(), uses.end(), [&](const Consumers::Use& u) { return aside(u.node); }) &&
        std::all_of(controls.begin(), controls.end(), aside))
      names.push_back(graph.node(id).name);
  }
  if (!names.empty()) return names;
  names = find_outputs(graph);
  std::erase_if(names, [&](const std::string& name) { return aside(graph.find(name)); });
  return names;
}

std::vector<SavedOutput> saved_outputs(MetaGraph& meta, const FreezeOptions& options) {
  std::vector<SavedOutput> outputs;
  for (const std::string& name : options.outputs) outputs.push_back(named_output(meta, options, name));
  if (!outputs.empty()) return outputs;
  if (const Signature* s = chosen_signature(meta, options.signature)) {
    for (const Signature::Output& o : s->outputs) outputs.push_back(output_of(meta.graph, *s, o));
    if (outputs.empty())
      throw Error("signature " + s->name, "has no outputs", "name nodes with freeze_graph --output_node_names");
    return outputs;
  }
  const std::vector<std::string> names = suggested_outputs(meta.graph);
  if (!options.find_outputs || names.empty())
    throw UsageError("", "You need to supply the name of a node to --output_node_names.",
                     names.empty() ? "" : "possible outputs: " + listed(names));
  for (const std::string& name : names) outputs.push_back({meta.graph.find(name), ""});
  return outputs;
}

void name_outputs(Graph& graph, const std::vector<SavedOutput>& outputs) {
  for (const SavedOutput& o : outputs)
    if (!o.name.empty() && graph.find(o.name) < 0) graph.rename(o.node, o.name);
}

}  // namespace cytodet::graph
