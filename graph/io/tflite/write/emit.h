// Nodes of a Graph as TensorFlow Lite's operators: one entry per op.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "graph/io/tflite/write/lite_net.h"
#include "graph/ir/op.h"

namespace cytodet::graph::lite {

// The network that is written, and what became of each value of the graph.
struct Writing {
  const Graph& graph;
  const Facts& facts;
  const Consumers& uses;
  const std::set<NodeId>& outputs;  // nodes whose values leave the network
  LiteNet net;
  std::map<Value, int> tensors;
  std::set<NodeId> covered;         // nodes that an operator before them computes
  std::map<NodeId, Tensor> folded;  // values of nodes of constants

  // Null: it is computed while the network runs.
  const Tensor* constant(Value v);
};

// One node on its way.
class LiteEmit {
 public:
  LiteEmit(Writing& writing, NodeId node) : graph(writing.graph), id(node), n(writing.graph.node(node)), w_(writing) {}

  const Graph& graph;
  const NodeId id;
  const Node& n;

  const Fact& fact(size_t i) const { return w_.facts.of(n.inputs[i]); }
  Shape shape(size_t i) const { return shape_of(n.inputs[i]); }
  Shape shape_of(Value v) const;  // throws Error where a size is open
  const Tensor* constant(size_t i) const { return w_.constant(n.inputs[i]); }
  const Tensor& need_constant(size_t i) const;
  int in(size_t i) { return tensor_of(n.inputs[i]); }
  int in_int32(size_t i);  // whole numbers that the operator wants in 32 bits
  std::vector<int> all();
  int held(const std::string& what, Tensor data);  // a constant "<node>/<what>"
  int ints(const std::string& what, const std::vector<int64_t>& values);
  int between(const std::string& what, const Shape& shape, DType type = DType::f32);

  // The tensor of an output, and that of the last node of a chain behind it.
  int out(int slot = 0) { return result({id, slot}); }
  int result(Value v);
  int copy_of(int tensor);  // the same values under another number
  int tensor_of(Value v);

  // What alone reads v and adds constants to its channels, or is Relu or Relu6: computed by the same operator. v moves on to it.
  std::optional<Tensor> bias_behind(Value& v);
  schema::ActivationFunctionType activation_behind(Value& v);

  void op(schema::BuiltinOperator code, std::vector<int> inputs, std::vector<int> outputs) {
    w_.net.ops.push_back({code, std::move(inputs), std::move(outputs)});
  }
  template <class Options, class Make>
  void op(schema::BuiltinOperator code, std::vector<int> inputs, std::vector<int> outputs, Make make) {
    w_.net.ops.push_back({code, std::move(inputs), std::move(outputs), schema::BuiltinOptionsTraits<Options>::enum_value,
                          [make](flatbuffers::FlatBufferBuilder& b) { return make(b).Union(); }});
  }
  NetTensor& at(int tensor) { return w_.net.at(tensor); }
  void alias(Value v, int tensor) { w_.tensors.insert_or_assign(v, tensor); }
  Writing& writing() { return w_; }

 private:
  bool is_read_by_one(Value v) const;
  Writing& w_;
};

struct LiteEmitEntry {
  const char* op;
  void (*emit)(LiteEmit&);
};
const std::vector<LiteEmitEntry>& lite_emit_layer_entries();
const std::vector<LiteEmitEntry>& lite_emit_math_entries();
const std::vector<LiteEmitEntry>& lite_emit_shape_entries();

}  // namespace cytodet::graph::lite
