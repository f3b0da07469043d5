// Op: one entry per TensorFlow op: name, shape inference, plain-loop evaluation. Meaning before speed: eval is the
// definition that every kernel is tested against.
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/error.h"
#include "graph/ir/graph.h"

namespace cytodet::graph {

// What is known of a value before data.
struct Fact {
  DType dtype = DType::invalid;
  std::optional<Shape> shape;  // nothing: unknown rank; -1: unknown dimension
  std::optional<Tensor> constant;

  bool has_static_shape() const { return shape && is_static(*shape); }
};

// A node's inputs. Asking for one that a (broken) node lacks throws Error.
template <class T>
class Inputs : public std::span<const T> {
 public:
  template <class All>
  requires std::convertible_to<const All&, std::span<const T>> Inputs(const All& all) : std::span<const T>(all) {}
  const T& operator[](size_t i) const {
    if (i >= this->size()) detail::missing_input(i, this->size());
    return this->data()[i];
  }
  const T& front() const { return (*this)[0]; }
  const T& back() const { return (*this)[this->size() - 1]; }
};

struct OpCall {
  const Node& node;
  Inputs<Tensor> in;
  std::vector<Tensor> out;  // eval fills it, one per output slot
};

struct InferCall {
  const Node& node;
  Inputs<Fact> in;
  std::vector<Fact> out;  // infer fills it, one per output slot
};

struct Op {
  const char* name;
  void (*infer)(InferCall&);  // throws Error on impossible inputs; may leave shapes unknown
  void (*eval)(OpCall&);      // throws Error (without the node: the caller adds it)
  bool stateful = false;      // random ops and the like: never folded
};

// The table, ordered by name; graph/ops/*.cpp hold the entries, graph/ops/op_table.cpp the array.
std::span<const Op> all_ops();
const Op* find_op(std::string_view name);  // null when unknown

// Calls f; an Error that names no node is thrown again with this one named.
template <class F>
auto with_node_named(const Node& node, F f) -> decltype(f()) {
  try {
    return f();
  } catch (const Error& e) {
    if (e.where().starts_with("node ")) throw;
    throw e.within("node " + node.name + " (" + node.op + ")");
  }
}

// Runs a node's eval with the node named in every error. Throws Error for an unknown op (names the nearest known ones).
std::vector<Tensor> evaluate(const Node& node, std::span<const Tensor> inputs);

// What ResizeBilinear reads for one output pixel along an axis: low + share of the way to high.
struct ResizeTap {
  int64_t low, high;
  float share;
};
std::vector<ResizeTap> resize_taps(const Node& resize, int64_t in, int64_t out);  // `in` pixels become `out`

// Whether a reduction of [n, h, w, c] along these axes (null: not constant) is one over height and width.
bool are_height_and_width(const Tensor* axes);

using Feeds = std::map<Value, Tensor>;

// What computes a node's outputs: evaluate(), or what answers alike and sooner.
using Evaluator = std::function<std::vector<Tensor>(const Node&, std::span<const Tensor>)>;

// Plain interpreter: evaluates what `fetches` need, freeing values after their last use. Feeds override any value.
// A Placeholder that is not fed, an unknown op on the needed path, a cycle: Error naming the node.
std::vector<Tensor> interpret(const Graph& graph, const Feeds& feeds, const std::vector<Value>& fetches,
                              const Evaluator& evaluator = evaluate);

// Facts of every output of every live node; `known` (by Value) overrides, for example the shape of a Placeholder.
// Values whose inputs are all constant and whose size is at most fold_bytes get `constant` too.
// Never throws on unknown ops (their outputs stay unknown: dtype invalid).
class Facts {
 public:
  Facts(const Graph& graph, const std::map<Value, Fact>& known = {}, int64_t fold_bytes = 1 << 16);
  const Fact& of(Value v) const&;  // an unknown fact when nothing is known
  Fact of(Value v) const&& { return static_cast<const Facts&>(*this).of(v); }
  int outputs(NodeId id) const { return static_cast<int>(facts_[static_cast<size_t>(id)].size()); }

 private:
  std::vector<std::vector<Fact>> facts_;
};

}  // namespace cytodet::graph
