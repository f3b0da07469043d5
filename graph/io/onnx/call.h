// One node of an ONNX model on its way into a Graph: its inputs as values of the graph, its attributes with their defaults.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/io/builder.h"
#include "graph/io/onnx/onnx_graph.h"

namespace cytodet::graph::onnx {

class Call {
 public:
  // How a graph within the model (a branch of If, the body of a loop) runs at this place.
  struct Inside {
    std::vector<Value> inputs;          // the graph's own
    std::function<Value(Value)> enter;  // the value within the graph for one from around it; empty: itself
    NodeId anchor = -1;                 // a node that runs when the graph does, in its loop; -1: that of what lies around
  };
  using Branch = std::function<std::vector<Value>(const OnnxGraph&, const Inside&)>;

  Call(Builder& builder, const OnnxNode& node, int64_t set_number, std::vector<std::optional<Value>> inputs, Branch branch,
       NodeId around = -1)
      : b(builder),
        opset(set_number),
        anchor(around),
        out(node.outputs.size()),
        node_(node),
        inputs_(std::move(inputs)),
        branch_(std::move(branch)) {}

  // A call of this node, its attributes included, on other inputs and read by the rules of operator set `set_number`.
  Call on(std::vector<std::optional<Value>> inputs, int64_t set_number) const {
    return {b, node_, set_number, std::move(inputs), branch_, anchor};
  }

  Builder& b;
  const int64_t opset;  // of ONNX's own operators
  const NodeId anchor;  // a node that runs when this one does, in its loop; -1: it runs once, always
  std::vector<std::optional<Value>> out;

  // Inputs. An input that is left out counts, but has() is false for it.
  size_t inputs() const { return inputs_.size(); }
  bool has(size_t i) const { return i < inputs_.size() && inputs_[i]; }
  Value in(size_t i) const;  // throws Error when it is left out
  std::vector<Value> all() const;
  // An input of so many dimensions, by the word of the operator where their number is not known.
  Value in_of_rank(size_t i, int64_t rank) const;
  // The input's tensor, or null when it is not constant. Throws Error when it is left out.
  const Tensor* constant(size_t i) const { return b.constant(in(i)); }
  // Throws Error when it is not constant; `what` names it: "the scales".
  const Tensor& need_constant(size_t i, const char* what) const;

  // Attributes. Throw Error when one is there, but of another kind.
  bool has_attr(std::string_view name) const { return node_.attrs.find(name) != node_.attrs.end(); }
  int64_t integer(std::string_view name, int64_t fallback) const { return attr<int64_t>(name, fallback); }
  bool flag(std::string_view name, bool fallback) const { return integer(name, fallback) != 0; }
  float real(std::string_view name, float fallback) const { return attr<float>(name, fallback); }
  std::string text(std::string_view name, const std::string& fallback) const { return attr<std::string>(name, fallback); }
  std::vector<int64_t> integers(std::string_view name) const { return attr<std::vector<int64_t>>(name, {}); }
  std::vector<float> reals(std::string_view name) const { return attr<std::vector<float>>(name, {}); }
  const OnnxAttr* find(std::string_view name) const;
  // The outputs of a graph within the model.
  std::vector<Value> run(const OnnxGraph& graph, const Inside& inside) const { return branch_(graph, inside); }
  // The graph of an attribute. Throws Error when there is none; `what` names it: "its body".
  const OnnxGraph& graph(std::string_view name, const char* what) const;

  // The value, there only when this node runs, also where it is made of constants alone: what a loop begins with must be so.
  Value anchored(Value v) const { return anchored(b, v, anchor); }
  static Value anchored(Builder& b, Value v, NodeId anchor);

  bool wants(size_t output) const { return output < node_.outputs.size() && !node_.outputs[output].empty(); }
  void set(size_t output, Value v);

  // An axis attribute or number in [-rank, rank) -> [0, rank); throws Error.
  static int64_t axis_in(int64_t axis, int64_t rank);
  static std::vector<int64_t> axes_in(std::vector<int64_t> axes, int64_t rank);  // sorted; throws Error on repeated ones

 private:
  template <class T>
  T attr(std::string_view name, T fallback) const;
  const OnnxNode& node_;
  std::vector<std::optional<Value>> inputs_;
  Branch branch_;
};

// Throws Error without the node, which is added by who called.
[[noreturn]] void refuse(const std::string& what, const std::string& fix = "export the model without it");

}  // namespace cytodet::graph::onnx
