#include "graph/io/tensorflow/variables.h"

#include <algorithm>
#include <iterator>

#include "core/error.h"
#include "core/suggest.h"
#include "graph/io/tensorflow/graph_def.h"

namespace cytodet::graph {
namespace {

std::string text_at(const Graph& g, const Node& n, size_t input, int slot) {
  const Tensor* t = input < n.inputs.size() ? g.constant(behind_identities(g, n.inputs[input])) : nullptr;
  if (!t || t->dtype() != DType::string || slot >= t->size()) return {};
  return t->strings()[static_cast<size_t>(slot)];
}

std::string shared_name(const Node& n) {
  const std::string shared = n.attr_or<std::string>("shared_name", "");
  return shared.empty() ? n.name : shared;
}

// "w/part_3": part 3 of w.
struct PartName {
  std::string whole;
  size_t part = 0;
};
std::optional<PartName> part_of(const std::string& name) {
  const size_t at = name.rfind("/part_");
  if (at == std::string::npos || name.size() - at > 12) return std::nullopt;
  const std::string digits = name.substr(at + 6);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return PartName{name.substr(0, at), static_cast<size_t>(std::stoul(digits))};
}

std::string request_text(const Shape& full, const TensorSlice& slice) {
  std::string text;
  for (int64_t d : full) text += std::to_string(d) + " ";
  for (size_t i = 0; i < slice.size(); ++i)
    text += (i ? ":" : "") +
            (slice[i].length < 0 ? std::string("-") : std::to_string(slice[i].start) + "," + std::to_string(slice[i].length));
  return text;
}

// The parts of a variable are its slices in order.
std::optional<StoredAs> stored_part(const Checkpoint& checkpoint, const std::string& name) {
  const auto part = part_of(name);
  const Checkpoint::Entry* e = part ? checkpoint.find(part->whole) : nullptr;
  if (!e || part->part >= e->slices.size()) return std::nullopt;
  std::vector<TensorSlice> slices = e->slices;
  std::sort(slices.begin(), slices.end(), [](const TensorSlice& a, const TensorSlice& b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                        [](const SliceExtent& x, const SliceExtent& y) { return x.start < y.start; });
  });
  return StoredAs{part->whole, request_text(e->shape, slices[part->part])};
}

bool fits(const Node& variable, const Shape& shape) {
  const ShapeAttr* wanted = variable.find_attr<ShapeAttr>("shape");
  return !wanted || wanted->admits(shape);
}

std::string shape_text(const Node& variable) { return to_string(variable.attr_or("shape", ShapeAttr{}).dims); }

}  // namespace

bool is_variable(const Node& node) {
  static const char* const kOps[] = {"VariableV2", "VarHandleOp", "Variable", "AutoReloadVariable", "TemporaryVariable"};
  return std::any_of(std::begin(kOps), std::end(kOps), [&](const char* op) { return node.op == op; });
}

bool writes_variables(const Node& node) {
  static const char* const kStarts[] = {"Assign",
                                        "Scatter",
                                        "Apply",
                                        "SparseApply",
                                        "ResourceApply",
                                        "ResourceScatter",
                                        "ResourceSparseApply",
                                        "ResourceStridedSliceAssign",
                                        "StridedSliceAssign",
                                        "CountUpTo",
                                        "ResourceCountUpTo",
                                        "AccumulatorApply"};
  static const char* const kPlain[] = {"ScatterNd", "ScatterNdNonAliasingAdd"};
  const auto begins = [&](const char* start) { return node.op.starts_with(start); };
  const auto is = [&](const char* op) { return node.op == op; };
  return std::any_of(std::begin(kStarts), std::end(kStarts), begins) && std::none_of(std::begin(kPlain), std::end(kPlain), is);
}

Value behind_identities(const Graph& g, Value v) {
  for (int steps = 0; steps < 100 && g.node(v.node).op == "Identity" && !g.node(v.node).inputs.empty(); ++steps)
    v = g.node(v.node).inputs[0];
  return v;
}

DType variable_type(const Node& variable) { return variable.attr_or("dtype", DType::invalid); }

std::map<std::string, StoredAs> restored_variables(const Graph& graph, const std::string& restore_op) {
  std::map<std::string, StoredAs> restored;
  const NodeId root = graph.find(restore_op.substr(0, restore_op.find(':')));
  if (root < 0) return restored;
  Graph g = graph;
  g.sweep({root});
  try {
    inline_functions(g);
  } catch (const Error&) {  // names are tried
    return restored;
  }
  for (NodeId id : g.ids()) {
    const Node& n = g.node(id);
    if ((n.op != "Assign" && n.op != "AssignVariableOp") || n.inputs.size() < 2) continue;
    const Node& variable = g.node(behind_identities(g, n.inputs[0]).node);
    const Value value = behind_identities(g, n.inputs[1]);
    const Node& restore = g.node(value.node);
    if (!is_variable(variable) || restore.op != "RestoreV2") continue;
    const StoredAs stored{text_at(g, restore, 1, value.slot), text_at(g, restore, 2, value.slot)};
    if (!stored.key.empty()) restored[variable.name] = stored;
  }
  return restored;
}

VariableValues::VariableValues(const Checkpoint* checkpoint, std::map<std::string, StoredAs> restored, First first)
    : checkpoint_(checkpoint), restored_(std::move(restored)), first_(first) {
  if (checkpoint_) objects_ = checkpoint_->keys_by_variable();
}

std::vector<StoredAs> VariableValues::candidates(const Node& variable) const {
  std::vector<StoredAs> found;
  const std::string name = shared_name(variable);
  const auto by_restore = restored_.find(variable.name);
  const bool restored = by_restore != restored_.end() && checkpoint_->find(by_restore->second.key);
  if (restored && first_ == First::restored) return {by_restore->second};
  for (const std::string& key : {name, variable.name})
    if (checkpoint_->find(key)) return {{key, ""}};
  if (restored) return {by_restore->second};
  const auto [begin, end] = objects_.equal_range(name);
  for (auto it = begin; it != end; ++it) found.push_back({it->second, ""});
  if (!found.empty()) return found;
  if (const auto part = stored_part(*checkpoint_, name)) found.push_back(*part);
  return found;
}

Error VariableValues::missing(const Node& variable) const {
  const std::string where = "variable " + variable.name;
  if (!checkpoint_) return Error(where, "has no value: there is no checkpoint", "name it with --input_checkpoint");
  const auto by_restore = restored_.find(variable.name);
  const std::string key = by_restore != restored_.end() ? by_restore->second.key : shared_name(variable);
  return Error(where, "has no value: " + checkpoint_->index_path() + " holds no tensor \"" + key + "\"",
               suggest(key, checkpoint_->names()));
}

Tensor VariableValues::read(const Node& variable) const {
  const std::vector<StoredAs> found = checkpoint_ ? candidates(variable) : std::vector<StoredAs>();
  if (found.empty()) throw missing(variable);
  const std::string where = "variable " + variable.name;
  if (found.size() > 1)
    throw Error(where,
                "may be any of " + std::to_string(found.size()) + " tensors of " + checkpoint_->index_path() + ", such as \"" +
                    found[0].key + "\" and \"" + found[1].key + "\"",
                "save the model as a SavedModel with a signature");
  const StoredAs& stored = found[0];
  const auto request = parse_slice_request(stored.slice);
  const Checkpoint::Entry& entry = *checkpoint_->find(stored.key);
  const Shape shape = request ? shape_of(request->slice) : entry.shape;
  if (entry.dtype != variable_type(variable) || !fits(variable, shape))
    throw Error(where,
                "is " + name_of(variable_type(variable)) + " " + shape_text(variable) + ", but \"" + stored.key + "\" in " +
                    checkpoint_->index_path() + " is " + name_of(entry.dtype) + " " + to_string(shape),
                "this is the checkpoint of another network");
  return request ? checkpoint_->read(stored.key, *request) : checkpoint_->read(stored.key);
}

}  // namespace cytodet::graph
