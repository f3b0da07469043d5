// Graph: TensorFlow's frozen graph in memory. Ops keep TensorFlow's names and meaning, so it can be written as a
// GraphDef after any pass; an op we do not know is carried through untouched.
#pragma once

#include <compare>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "graph/ir/attr.h"

namespace cytodet::graph {

using NodeId = int32_t;  // stable while the graph lives; -1: none

// Output `slot` of `node`: the name of a wire.
struct Value {
  NodeId node = -1;
  int slot = 0;
  auto operator<=>(const Value&) const = default;
};

struct Node;

namespace detail {
[[noreturn]] void missing_input(size_t index, size_t count);
[[noreturn]] void missing_attr(const Node& node, std::string_view name);
}  // namespace detail

// A node's data inputs, in order. Nodes of damaged files may have fewer than their op reads: asking for one that is not there
// throws Error.
class NodeInputs : public std::vector<Value> {
 public:
  using std::vector<Value>::vector;
  NodeInputs(std::vector<Value> values) : std::vector<Value>(std::move(values)) {}  // NOLINT: a list of values is one of inputs
  Value& operator[](size_t i) { return data()[checked(i)]; }
  const Value& operator[](size_t i) const { return data()[checked(i)]; }
  Value& front() { return (*this)[0]; }
  const Value& front() const { return (*this)[0]; }
  Value& back() { return (*this)[size() - 1]; }
  const Value& back() const { return (*this)[size() - 1]; }

 private:
  size_t checked(size_t i) const {
    if (i >= size()) detail::missing_input(i, size());
    return i;
  }
};

struct Node {
  std::string name, op, device;
  NodeInputs inputs;
  std::vector<NodeId> controls;  // control inputs
  AttrMap attrs;
  std::string extra;  // encoded NodeDef fields that are not modelled here (debug info, full type), written back

  // Typed attribute look-ups. attr<T>(name) throws Error when missing or of another kind; the second form defaults.
  template <class T>
  const T& attr(std::string_view key) const;
  template <class T>
  T attr_or(std::string_view key, T fallback) const;
  // Null when it is missing or of another kind.
  template <class T>
  const T* find_attr(std::string_view key) const {
    return graph::find_attr<T>(attrs, key);
  }
  bool has_attr(std::string_view key) const { return attrs.find(key) != attrs.end(); }
};

std::string node_text(const Node& node);  // "node a/b (Conv2D)", for messages

class Graph {
 public:
  // Node ids in file (or insertion) order, without removed nodes.
  std::vector<NodeId> ids() const;
  int size() const;  // live nodes
  bool alive(NodeId id) const { return id >= 0 && static_cast<size_t>(id) < nodes_.size() && nodes_[static_cast<size_t>(id)]; }
  int capacity() const { return static_cast<int>(nodes_.size()); }  // every id is below this

  Node& node(NodeId id) { return *nodes_[static_cast<size_t>(id)]; }
  const Node& node(NodeId id) const { return *nodes_[static_cast<size_t>(id)]; }

  NodeId find(std::string_view name) const;  // -1 when there is none
  // find, but throws Error naming the nearest nodes.
  NodeId require(std::string_view name) const;
  // "name" or "name:slot" -> Value; throws Error naming the nearest nodes.
  Value value(std::string_view text) const;
  std::string name_of(Value v) const;  // "name" for slot 0, else "name:slot"

  NodeId add(Node node);                                 // throws Error when the name is taken or empty
  std::string unique_name(std::string_view base) const;  // base, or base_1, base_2, ...
  void rename(NodeId id, std::string name);              // throws Error when taken
  void remove(NodeId id);                                // the caller has re-pointed its consumers
  // Adds a node under unique_name(base); returns its first output.
  Value add_new(std::string_view base, std::string op, std::vector<Value> inputs, AttrMap attrs);
  // Adds a Const of `tensor` under unique_name(base); returns its value.
  Value add_const(std::string_view base, Tensor tensor);

  // The node becomes a Const of `tensor`; its name and control inputs stay.
  void become_const(NodeId id, Tensor tensor);

  // Every data input `from` becomes `to`.
  void replace_uses(Value from, Value to);
  // Every data input from any slot s of `from` becomes {to, s}; control inputs on `from` go to `to`.
  void replace_node_uses(NodeId from, NodeId to);
  // Removes nodes from which no node of `keep` is reachable (data and control edges). Returns how many.
  int sweep(const std::vector<NodeId>& keep);

  // Const's tensor, or null when the node is no Const (or holds a type we only carry).
  const Tensor* constant(NodeId id) const;
  const Tensor* constant(Value v) const { return v.slot == 0 ? constant(v.node) : nullptr; }

  // Inputs before consumers; edges out of NextIteration are not followed. Throws Error naming a node on a cycle.
  std::vector<NodeId> topological_order() const;
  // Structural soundness (inputs alive, names unique); throws Error naming the node. Run after every pass.
  void check() const;

  std::string extra;    // encoded GraphDef fields other than nodes and library (versions, debug info)
  std::string library;  // encoded FunctionDefLibrary; empty when there is none
  // Names of the outputs in the order in which the file, or who fetches them, lists them: find_outputs() keeps to it. Empty: no
  // order is known but that of the nodes.
  std::vector<std::string> output_order;

 private:
  std::vector<std::unique_ptr<Node>> nodes_;
  std::unordered_map<std::string, NodeId> by_name_;

 public:
  Graph() = default;
  Graph(Graph&&) = default;
  Graph& operator=(Graph&&) = default;
  Graph(const Graph& other);  // deep, tensors shared
  Graph& operator=(const Graph& other) { return *this = Graph(other); }
};

// Who reads what; a snapshot, rebuilt after rewriting.
class Consumers {
 public:
  struct Use {
    NodeId node;
    int input;  // index into inputs
  };
  explicit Consumers(const Graph& graph);
  const std::vector<Use>& of(Value v) const;                // data uses of one output
  const std::vector<Use>& of(NodeId id) const;              // data uses of any output
  const std::vector<NodeId>& controls_of(NodeId id) const;  // nodes with a control input on id
  // Exactly one data use, no control use; false for a node added since.
  bool sole(NodeId id) const { return knows(id) && of(id).size() == 1 && controls_of(id).empty(); }
  bool knows(NodeId id) const { return static_cast<size_t>(id) < by_node_.size(); }

 private:
  std::vector<std::vector<Use>> by_node_;
  std::vector<std::vector<NodeId>> controls_;
  std::map<Value, std::vector<Use>> by_value_;
};

template <class T>
const T& Node::attr(std::string_view key) const {
  const T* value = find_attr<T>(key);
  if (!value) detail::missing_attr(*this, key);
  return *value;
}

template <class T>
T Node::attr_or(std::string_view key, T fallback) const {
  const T* value = find_attr<T>(key);
  return value ? *value : fallback;
}

}  // namespace cytodet::graph
