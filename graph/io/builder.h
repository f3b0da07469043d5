// Adds nodes of TensorFlow's ops to a Graph, one after another, and knows types and shapes of what is there.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graph/ir/op.h"

namespace cytodet::graph {

class Builder {
 public:
  Graph graph;
  std::string scope;  // nodes are named "<scope>/<op>"

  // 8-bit quantized values (unsigned: those of signed types 128 above) of a float value, by the value that holds them: who
  // reads them back with the same scale reads the float value on its grid.
  struct QuantizedFrom {
    Value number;
    float scale;
    int zero_point;
  };
  std::map<Value, QuantizedFrom> made_of;

  // What is known of a value.
  const Fact& fact(Value v) const;
  DType type(Value v) const;         // throws Error when it is not known
  int64_t rank(Value v) const;       // throws Error when it is not known
  Shape dims(Value v) const;         // -1: an unknown dimension; throws Error when the rank is not known
  Shape static_dims(Value v) const;  // throws Error when a dimension is not known
  bool is_static(Value v) const;
  const Tensor* constant(Value v) const { return graph.constant(v); }  // null: not constant

  // A node; its first output. Type attributes and N are set here. A node of constants becomes a constant, where that is no larger
  // than what it is made of, or small. Throws Error when the op refuses its inputs.
  Value add(const std::string& op, const std::vector<Value>& inputs, AttrMap attrs = {});
  // A node that takes no part in folding (Placeholder).
  Value add_as(const std::string& name, const std::string& op, std::vector<Value> inputs, AttrMap attrs);
  // A node of an op that is none of TensorFlow's, "onnx:Conv": its type and shape, which nothing infers, become attributes.
  Value add_onnx(const std::string& name, const std::string& op, std::vector<Value> inputs, AttrMap attrs, DType type,
                 const std::optional<Shape>& shape);
  Value adopt(Value v);  // v, of nodes that were added to the graph itself
  // The Merge at the head of a loop: `enter` in the first iteration, later what close_loop gives. `shape` must hold in all of
  // them (-1: a dimension that changes; nothing: the rank, too).
  Value add_loop_merge(Value enter, const std::optional<Shape>& shape);
  void close_loop(Value merge, Value next);
  void remove_since(NodeId first);  // this node and all that were added after it
  static Value output(Value node, int slot) { return {node.node, slot}; }

  Value constant(Tensor t);
  Value named_constant(const std::string& name, Tensor t);
  Value ints(const std::vector<int64_t>& values);  // int64 [n]
  Value int64(int64_t value);                      // int64 []
  Value int32s(const std::vector<int64_t>& values);
  Value int32(int64_t value);
  Value number(double value, DType type);  // []
  Value number(double value, Value like) { return number(value, type(like)); }

  // The usual compositions; each returns its input where there is nothing to do.
  Value cast(Value x, DType to);
  Value transpose(Value x, const std::vector<int64_t>& perm);
  // A product's result [rows, columns] plus a bias: BiasAdd where that is a number for each column of floats, else AddV2.
  Value add_bias(Value product, Value bias);
  Value reshape(Value x, const Shape& dims);
  Value shape(Value x);                                          // int64 [rank]; a constant when all dimensions are known
  Value expand_dims(Value x, const std::vector<int64_t>& axes);  // axes of the result, in [0, rank of the result)
  Value squeeze(Value x, const std::vector<int64_t>& axes);
  Value to_last(Value x) { return transpose(x, last_perm(rank(x))); }     // [n, c, ...] -> [n, ..., c]
  Value from_last(Value x) { return transpose(x, first_perm(rank(x))); }  // and back
  Value slice(Value x, int64_t axis, int64_t begin, int64_t end);         // of a dimension, 0 <= begin <= end
  Value dimension(Value x, int64_t axis);                                 // int64 []

  static std::vector<int64_t> last_perm(int64_t rank);
  static std::vector<int64_t> first_perm(int64_t rank);

 private:
  void remember(Value v);
  std::vector<std::vector<Fact>> facts_;
};

// The attributes of an Enter into the loop `frame`.
AttrMap enter_attrs(DType type, const std::string& frame, bool is_constant);

constexpr const char* kOutputShapes = "_output_shapes";  // TensorFlow's attribute: what is known of a Merge of a loop
constexpr const char *kOnnxType = "onnx_type", *kOnnxShape = "onnx_shape";  // attributes of what add_onnx adds
bool is_onnx_op(const std::string& op);

std::vector<int64_t> inverse_perm(const std::vector<int64_t>& perm);
// Dimension d is s[perm[d]].
Shape transposed_shape(const Shape& s, const std::vector<int64_t>& perm);

}  // namespace cytodet::graph
