// One operator of a TensorFlow Lite model on its way into a Graph: its inputs as numbers, its options with their defaults.
// Quantized tensors are the float numbers that their stored values stand for: who translates an operator writes what it does to
// numbers, and translate.cpp rounds the result to the grid of its tensor.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graph/io/builder.h"
#include "graph/io/tflite/lite_model.h"
#include "lite_model_generated.h"

namespace cytodet::graph::lite {

namespace schema = cytodet::lite_schema;

// Constant weights with their dimensions in another order, which all operators that read them so share.
using PermutedWeights = std::map<std::pair<const LiteTensor*, std::vector<int64_t>>, Value>;

class Call {
 public:
  // A constant is made when it is first asked for. `rounded`: as the Dequantize of a quantized tensor, which it need not be where
  // values were only moved.
  using NumberOf = std::function<Value(int tensor, bool rounded)>;

  Call(Builder& builder, PermutedWeights& permuted, const LiteGraph& graph, const LiteOp& op, NumberOf number)
      : b(builder), permuted_weights(permuted), out(op.outputs.size()), graph_(graph), op_(op), number_(std::move(number)) {}

  Builder& b;
  PermutedWeights& permuted_weights;
  std::vector<std::optional<Value>> out;

  // Inputs. An input that is left out counts, but has() is false for it.
  size_t inputs() const { return op_.inputs.size(); }
  bool has(size_t i) const { return i < inputs() && op_.inputs[i] >= 0; }
  Value in(size_t i) const;        // throws Error when it is left out
  Value layer_in(size_t i) const;  // what a layer with weights reads: one that is 8-bit shows by it that its input is, too
  std::vector<Value> all() const;
  const LiteTensor& tensor(size_t i) const;                             // throws Error when it is left out
  const Tensor* constant(size_t i) const { return b.constant(in(i)); }  // null: not constant
  // Throws Error when it is not constant; `what` names it: "its axis".
  const Tensor& need_constant(size_t i, const char* what) const;

  const LiteTensor& result(size_t i) const;  // the tensor of an output
  void set(size_t output, Value v) {
    if (output < out.size()) out[output] = v;
  }

  // The first output behind the operator's own activation.
  void give(Value y, schema::ActivationFunctionType activation);
  bool keeps_grid = true;  // results are values of the inputs (LiteEntry::moves), whatever the activation

  // All defaults when the operator has no options of this kind.
  template <class T>
  const T& options() const {
    const T* own = op().builtin_options_as<T>();
    return own ? *own : *static_cast<const T*>(no_options());
  }
  const schema::Operator& op() const { return *op_.raw; }

  // -1 is the last of `rank` dimensions. Throws Error when it is out of range.
  static int64_t axis_in(int64_t axis, int64_t rank);
  int64_t axis_of(int64_t axis, size_t input) const { return axis_in(axis, b.rank(in(input))); }

 private:
  static const void* no_options();
  const LiteGraph& graph_;
  const LiteOp& op_;
  NumberOf number_;
};

// Throws Error without the operator, which is added by who called.
[[noreturn]] void refuse(const std::string& what, const std::string& fix = "convert the model without it");

// The activation that an operator applies to its result.
Value activated(Builder& b, Value x, schema::ActivationFunctionType activation);

// A tensor of weights as TensorFlow reads it, dimension d being the tensor's perm[d]: the numbers as a constant, or, where they
// are 8-bit values about 0, Dequantize of a constant, which is the form that runs in 8 bits (graph/quantized/quant_nodes.h).
// What is no constant: the input itself, transposed.
Value weights_of(Call& c, size_t input, const std::vector<int64_t>& perm);
// The numbers of a quantized tensor's stored values.
Tensor numbers_of(const LiteTensor& tensor);

}  // namespace cytodet::graph::lite
