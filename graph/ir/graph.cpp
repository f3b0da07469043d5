#include "graph/ir/graph.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "core/suggest.h"

namespace cytodet::graph {

std::string node_text(const Node& node) { return "node " + node.name + " (" + node.op + ")"; }

namespace detail {
void missing_input(size_t index, size_t count) {
  throw Error("", "needs input " + std::to_string(index) + " but has " + std::to_string(count) + " inputs");
}

void missing_attr(const Node& node, std::string_view name) {
  throw Error(node_text(node), "attribute \"" + std::string(name) + "\" is missing or of the wrong kind");
}
}  // namespace detail

Graph::Graph(const Graph& other)
    : extra(other.extra), library(other.library), output_order(other.output_order), by_name_(other.by_name_) {
  nodes_.reserve(other.nodes_.size());
  for (const auto& node : other.nodes_) nodes_.push_back(node ? std::make_unique<Node>(*node) : nullptr);
}

std::vector<NodeId> Graph::ids() const {
  std::vector<NodeId> ids;
  ids.reserve(by_name_.size());
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (nodes_[i]) ids.push_back(static_cast<NodeId>(i));
  return ids;
}

int Graph::size() const { return static_cast<int>(by_name_.size()); }

NodeId Graph::find(std::string_view name) const {
  auto it = by_name_.find(std::string(name));
  return it == by_name_.end() ? -1 : it->second;
}

NodeId Graph::require(std::string_view name) const {
  NodeId id = find(name);
  if (id >= 0) return id;
  std::vector<std::string> known;
  for (const auto& [key, unused] : by_name_) known.push_back(key);
  std::sort(known.begin(), known.end());
  const bool too_many = known.size() > 12 && nearest(name, known).empty();  // to list those that are known
  throw Error("node " + std::string(name), "there is no such node in the graph",
              too_many ? "cytodet inspect --structure lists all nodes" : suggest(name, known));
}

Value Graph::value(std::string_view text) const {
  NodeId whole = find(text);
  if (whole >= 0) return {whole, 0};
  size_t colon = text.rfind(':');
  int slot = 0;
  if (colon != std::string_view::npos) {
    auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), slot);
    if (error != std::errc() || end != text.data() + text.size() || slot < 0 || slot > 65535)
      throw Error("output " + std::string(text), "is not \"name\" or \"name:slot\"");
    text = text.substr(0, colon);
  }
  return {require(text), slot};
}

std::string Graph::name_of(Value v) const {
  const std::string& name = node(v.node).name;
  return v.slot == 0 ? name : name + ":" + std::to_string(v.slot);
}

NodeId Graph::add(Node node) {
  if (node.name.empty()) throw Error("node of op " + node.op, "has no name");
  NodeId id = static_cast<NodeId>(nodes_.size());
  if (!by_name_.emplace(node.name, id).second) throw Error("node " + node.name, "the name is used twice");
  nodes_.push_back(std::make_unique<Node>(std::move(node)));
  return id;
}

std::string Graph::unique_name(std::string_view base) const {
  std::string name(base);
  for (int i = 1; find(name) >= 0; ++i) name = std::string(base) + "_" + std::to_string(i);
  return name;
}

void Graph::rename(NodeId id, std::string name) {
  Node& n = node(id);
  if (n.name == name) return;
  if (!by_name_.emplace(name, id).second) throw Error("node " + name, "the name is used twice");
  by_name_.erase(n.name);
  n.name = std::move(name);
}

void Graph::remove(NodeId id) {
  by_name_.erase(node(id).name);
  nodes_[static_cast<size_t>(id)].reset();
}

Value Graph::add_new(std::string_view base, std::string op, std::vector<Value> inputs, AttrMap attrs) {
  Node n;
  n.name = unique_name(base);
  n.op = std::move(op);
  n.inputs = std::move(inputs);
  n.attrs = std::move(attrs);
  return {add(std::move(n)), 0};
}

Value Graph::add_const(std::string_view base, Tensor tensor) {
  Node n;
  n.name = unique_name(base);
  const NodeId id = add(std::move(n));
  become_const(id, std::move(tensor));
  return {id, 0};
}

void Graph::become_const(NodeId id, Tensor tensor) {
  Node& n = node(id);
  n.op = "Const";
  n.inputs.clear();
  n.attrs.clear();
  n.attrs.emplace("dtype", tensor.dtype());
  n.attrs.emplace("value", std::move(tensor));
}

void Graph::replace_uses(Value from, Value to) {
  for (auto& n : nodes_)
    if (n)
      for (Value& input : n->inputs)
        if (input == from) input = to;
}

void Graph::replace_node_uses(NodeId from, NodeId to) {
  for (auto& n : nodes_) {
    if (!n) continue;
    for (Value& input : n->inputs)
      if (input.node == from) input.node = to;
    for (NodeId& control : n->controls)
      if (control == from) control = to;
  }
}

int Graph::sweep(const std::vector<NodeId>& keep) {
  std::vector<char> reached(nodes_.size(), 0);
  std::vector<NodeId> stack;
  auto visit = [&](NodeId id) {
    if (alive(id) && !reached[static_cast<size_t>(id)]) {
      reached[static_cast<size_t>(id)] = 1;
      stack.push_back(id);
    }
  };
  for (NodeId id : keep) visit(id);
  while (!stack.empty()) {
    const Node& n = node(stack.back());
    stack.pop_back();
    for (Value input : n.inputs) visit(input.node);
    for (NodeId control : n.controls) visit(control);
  }
  int removed = 0;
  for (NodeId id : ids())
    if (!reached[static_cast<size_t>(id)]) {
      remove(id);
      ++removed;
    }
  return removed;
}

const Tensor* Graph::constant(NodeId id) const {
  if (!alive(id) || node(id).op != "Const") return nullptr;
  return node(id).find_attr<Tensor>("value");
}

std::vector<NodeId> Graph::topological_order() const {
  std::vector<int> waiting(nodes_.size(), 0);
  std::vector<std::vector<NodeId>> next(nodes_.size());
  for (NodeId id : ids()) {
    auto depends_on = [&](NodeId from) {
      if (node(from).op == "NextIteration" || node(from).op == "RefNextIteration") return;
      next[static_cast<size_t>(from)].push_back(id);
      ++waiting[static_cast<size_t>(id)];
    };
    for (Value input : node(id).inputs) depends_on(input.node);
    for (NodeId control : node(id).controls) depends_on(control);
  }
  std::vector<NodeId> order;
  order.reserve(by_name_.size());
  for (NodeId id : ids())
    if (waiting[static_cast<size_t>(id)] == 0) order.push_back(id);
  for (size_t i = 0; i < order.size(); ++i)
    for (NodeId id : next[static_cast<size_t>(order[i])])
      if (--waiting[static_cast<size_t>(id)] == 0) order.push_back(id);
  if (order.size() != by_name_.size())
    for (NodeId id : ids())
      if (waiting[static_cast<size_t>(id)] > 0)
        throw Error(node_text(node(id)), "is on or behind a cycle", "the graph must be acyclic");
  return order;
}

void Graph::check() const {
  for (NodeId id : ids()) {
    const Node& n = node(id);
    auto sound = [&](NodeId input) {
      if (!alive(input)) throw Error(node_text(n), "an input refers to a node that does not exist");
    };
    for (Value input : n.inputs) sound(input.node);
    for (NodeId control : n.controls) sound(control);
    auto it = by_name_.find(n.name);
    if (it == by_name_.end() || it->second != id) throw Error("node " + n.name, "the name index is broken");
  }
}

Consumers::Consumers(const Graph& graph)
    : by_node_(static_cast<size_t>(graph.capacity())), controls_(static_cast<size_t>(graph.capacity())) {
  for (NodeId id : graph.ids()) {
    const Node& n = graph.node(id);
    for (size_t i = 0; i < n.inputs.size(); ++i) {
      Use use{id, static_cast<int>(i)};
      by_node_[static_cast<size_t>(n.inputs[i].node)].push_back(use);
      by_value_[n.inputs[i]].push_back(use);
    }
    for (NodeId control : n.controls) controls_[static_cast<size_t>(control)].push_back(id);
  }
}

const std::vector<Consumers::Use>& Consumers::of(Value v) const {
  static const std::vector<Use> none;
  auto it = by_value_.find(v);
  return it == by_value_.end() ? none : it->second;
}
const std::vector<Consumers::Use>& Consumers::of(NodeId id) const { return by_node_[static_cast<size_t>(id)]; }
const std::vector<NodeId>& Consumers::controls_of(NodeId id) const { return controls_[static_cast<size_t>(id)]; }

}  // namespace cytodet::graph
