// Transforms of nodes, names, attributes and devices.
#include <algorithm>
#include <cstdio>
#include <map>

#include "core/error.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/frames.h"
#include "graph/ir/op.h"
#include "graph/passes/pass.h"
#include "pipeline/transform/transforms.h"

namespace cytodet::pipeline {
namespace {

std::string required(const TransformCall& call, const char* parameter) {
  const std::string value = call.one(parameter, "");
  if (value.empty()) throw Error(call.name, std::string("needs ") + parameter + "=...");
  return value;
}

// Readers of output 0 read its first input, and wait for what the node waited for. False where somebody reads another output, or
// nothing that stays may take the node's place.
bool bypass(Graph& g, NodeId id) {
  const Node n = g.node(id);
  const Value from = n.inputs[0];
  if (from.node == id) return false;
  for (NodeId other : g.ids()) {
    const Node& reader = g.node(other);
    for (Value v : reader.inputs)
      if (v.node == id && v.slot != 0) return false;
    // A branch is not what to wait for.
    if (is_switch(g.node(from.node)) && std::count(reader.controls.begin(), reader.controls.end(), id)) return false;
  }
  for (NodeId other : g.ids()) {
    if (other == id) continue;
    Node& reader = g.node(other);
    bool touched = false;
    for (Value& v : reader.inputs)
      if (v.node == id) v = from, touched = true;
    if (std::erase(reader.controls, id) > 0) reader.controls.push_back(from.node), touched = true;
    if (touched) reader.controls.insert(reader.controls.end(), n.controls.begin(), n.controls.end());
    std::sort(reader.controls.begin(), reader.controls.end());
    reader.controls.erase(std::unique(reader.controls.begin(), reader.controls.end()), reader.controls.end());
  }
  g.remove(id);
  return true;
}

Shape shape_of_text(const TransformCall& call, const std::string& text) {
  Shape shape;
  std::string number;
  const auto finish = [&] {
    if (number.empty())
      throw Error(call.name, "has the shape \"" + text + "\"", "numbers between commas, such as \"1,299,299,3\"");
    shape.push_back(std::stoll(number));
    number.clear();
  };
  for (char c : text) {
    if (c == ',')
      finish();
    else if ((c >= '0' && c <= '9' && number.size() < 12) || (c == '-' && number.empty()))
      number += c;
    else if (c != ' ')
      throw Error(call.name, "has the shape \"" + text + "\"", "numbers between commas, such as \"1,299,299,3\"");
  }
  if (!text.empty()) finish();
  for (int64_t d : shape)
    if (d < -1) throw Error(call.name, "has the shape \"" + text + "\"", "sizes of 0 and more, or -1 where it is open");
  return shape;
}

DType type_of_text(const TransformCall& call, const std::string& text) {
  const DType type = dtype_from_name(text);
  if (type == DType::invalid) throw Error(call.name, "has the type " + text, "such as float, int32, quint8");
  return type;
}

// What new Placeholders are like: by name, or for all.
struct PlaceholderForm {
  std::string type, shape;
  bool shaped = false;
};

std::map<std::string, PlaceholderForm> forms_by_name(const TransformCall& call) {
  const std::vector<std::string> names = call.all("name"), types = call.all("type_for_name"), shapes = call.all("shape_for_name");
  if ((!types.empty() && types.size() != names.size()) || (!shapes.empty() && shapes.size() != names.size()))
    throw Error(call.name,
                "has " + std::to_string(names.size()) + " names, " + std::to_string(types.size()) + " types and " +
                    std::to_string(shapes.size()) + " shapes",
                "one type_for_name and one shape_for_name for each name");
  std::map<std::string, PlaceholderForm> forms;
  for (size_t i = 0; i < names.size(); ++i)
    forms[names[i]] = {types.empty() ? "" : types[i], shapes.empty() ? "" : shapes[i], !shapes.empty()};
  return forms;
}

void number_nodes(Graph& g, const std::vector<NodeId>& order) {
  Graph sorted;
  sorted.extra = g.extra;
  sorted.library = g.library;
  sorted.output_order = g.output_order;
  std::map<NodeId, NodeId> at;
  for (NodeId id : order) {
    Node n = g.node(id);
    n.inputs.clear();
    n.controls.clear();
    at[id] = sorted.add(std::move(n));
  }
  for (NodeId id : order) {
    Node& n = sorted.node(at[id]);
    for (Value v : g.node(id).inputs) n.inputs.push_back({at.at(v.node), v.slot});
    for (NodeId c : g.node(id).controls) n.controls.push_back(at.at(c));
  }
  g = std::move(sorted);
}

}  // namespace

void transform_remove_nodes(TransformContext& c) {
  const std::vector<std::string> ops = c.call.all("op");
  if (ops.empty()) throw Error(c.call.name, "needs op=..., such as remove_nodes(op=Identity)");
  const double max_inputs = c.call.number("max_inputs", 1);
  const std::set<NodeId> kept = kept_nodes(c);
  for (NodeId id : c.graph.ids()) {
    const Node& n = c.graph.node(id);
    if (std::find(ops.begin(), ops.end(), n.op) == ops.end() || kept.contains(id)) continue;
    if (n.inputs.empty() || static_cast<double>(n.inputs.size()) > max_inputs) continue;
    bypass(c.graph, id);
  }
}

void transform_strip_unused_nodes(TransformContext& c) {
  const std::string type = c.call.one("type", ""), shape = c.call.one("shape", "");
  const std::map<std::string, PlaceholderForm> forms = forms_by_name(c.call);
  std::set<std::string> made;
  for (const std::string& name : c.interface.inputs)
    if (const NodeId id = c.graph.value(name).node; c.graph.node(id).op != "Placeholder") made.insert(c.graph.node(id).name);
  PassOptions options;
  options.interface = c.interface;
  options.only = {{"strip_unused_nodes"}};
  run_passes(c.graph, options);
  for (const std::string& name : made) {
    PlaceholderForm form{type, shape, !shape.empty()};
    if (const auto own = forms.find(name); own != forms.end()) {
      if (!own->second.type.empty()) form.type = own->second.type;
      if (own->second.shaped) form.shape = own->second.shape, form.shaped = true;
    }
    AttrMap& attrs = c.graph.node(c.graph.require(name)).attrs;
    if (!form.type.empty()) attrs["dtype"] = type_of_text(c.call, form.type);
    if (form.shaped) attrs["shape"] = ShapeAttr{true, shape_of_text(c.call, form.shape)};
  }
}

void transform_rename_node(TransformContext& c) {
  const std::string from = required(c.call, "old_node_name");
  c.graph.rename(c.graph.require(from), required(c.call, "new_node_name"));
}

void transform_rename_op(TransformContext& c) {
  const std::string from = required(c.call, "old_op_name"), to = required(c.call, "new_op_name");
  for (NodeId id : c.graph.ids())
    if (c.graph.node(id).op == from) c.graph.node(id).op = to;
}

void transform_rename_attribute(TransformContext& c) {
  const std::string from = required(c.call, "old_attribute_name"), to = required(c.call, "new_attribute_name"),
                    op = c.call.one("op_name", "");
  for (NodeId id : c.graph.ids()) {
    Node& n = c.graph.node(id);
    const auto it = n.attrs.find(from);
    if (it == n.attrs.end() || (!op.empty() && op != "*" && n.op != op)) continue;
    const Attr value = it->second;
    n.attrs.erase(it);
    n.attrs.insert_or_assign(to, value);
  }
}

void transform_remove_attribute(TransformContext& c) {
  const std::string name = required(c.call, "attribute_name"), op = c.call.one("op_name", "");
  for (NodeId id : c.graph.ids())
    if (Node& n = c.graph.node(id); op.empty() || op == "*" || n.op == op) n.attrs.erase(name);
}

void transform_remove_control_dependencies(TransformContext& c) {
  for (NodeId id : c.graph.ids()) c.graph.node(id).controls.clear();
}

void transform_remove_device(TransformContext& c) {
  for (NodeId id : c.graph.ids()) c.graph.node(id).device.clear();
}

void transform_set_device(TransformContext& c) {
  const std::string device = c.call.one("device", "");
  const bool only_empty = c.call.truth("if_default", false);
  for (NodeId id : c.graph.ids())
    if (Node& n = c.graph.node(id); !only_empty || n.device.empty()) n.device = device;
}

void transform_obfuscate_names(TransformContext& c) {
  const std::set<NodeId> kept = kept_nodes(c);
  static constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz";
  size_t number = 0;
  const auto next = [&] {
    for (;;) {
      std::string name;
      for (size_t n = number++ + 1; n > 0; n /= 26) name.insert(name.begin(), kLetters[--n % 26]);
      if (c.graph.find(name) < 0) return name;
    }
  };
  for (NodeId id : c.graph.ids())
    if (!kept.contains(id)) c.graph.rename(id, next());
}

void transform_sort_by_execution_order(TransformContext& c) { number_nodes(c.graph, c.graph.topological_order()); }

void transform_backport_concatv2(TransformContext& c) {
  for (NodeId id : c.graph.ids()) {
    Node& n = c.graph.node(id);
    if (n.op != "ConcatV2" || n.inputs.size() < 2) continue;
    n.op = "Concat";
    std::rotate(n.inputs.begin(), n.inputs.end() - 1, n.inputs.end());
    n.attrs.erase("Tidx");
  }
}

// What a node is but for its name: the bytes of a graph that it is alone in, and whom it reads.
void transform_merge_duplicate_nodes(TransformContext& c) {
  const std::set<NodeId> kept = kept_nodes(c);
  std::map<std::string, NodeId> first;
  for (NodeId id : c.graph.topological_order()) {
    const Op* op = find_op(c.graph.node(id).op);
    const std::string& name = c.graph.node(id).op;
    if (!op || op->stateful || kept.contains(id) || name == "Placeholder" || is_control_flow_op(name)) continue;
    Node bare = c.graph.node(id);
    std::string key;
    for (Value v : bare.inputs) key += std::to_string(v.node) + ":" + std::to_string(v.slot) + ",";
    for (NodeId wait : bare.controls) key += "^" + std::to_string(wait) + ",";
    bare.inputs.clear();
    bare.controls.clear();
    bare.name = "n";
    Graph alone;
    alone.add(std::move(bare));
    const auto [it, fresh] = first.try_emplace(key + encode_graph(alone), id);
    if (fresh) continue;
    c.graph.replace_node_uses(id, it->second);
    c.graph.remove(id);
  }
}

}  // namespace cytodet::pipeline
