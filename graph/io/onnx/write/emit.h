// Nodes of an ONNX model, one after another. The only file of this folder, with its source, that knows protobuf.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graph/ir/op.h"

namespace cytodet::onnx_proto {
class ModelProto;
}

namespace cytodet::graph::onnx {

// The model that is written.
class ModelWriter {
 public:
  explicit ModelWriter(int64_t opset);
  ~ModelWriter();
  ModelWriter(const ModelWriter&) = delete;

  // A node of one or several outputs, whose names are free. Attributes: whole numbers, numbers, texts, lists of them, tensors.
  void node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
            const std::vector<std::string>& outputs, const AttrMap& attrs);
  void initializer(const std::string& name, const Tensor& tensor);  // once for each name
  void input(const std::string& name, const Fact& fact);
  void output(const std::string& name, const Fact& fact);
  std::string bytes() const;  // throws Error when they are more than a file of protobuf holds

 private:
  std::unique_ptr<onnx_proto::ModelProto> model_;
};

// One node of a graph (lower.h) on its way into a model.
class Emit {
 public:
  // `used`: names that were given, of the whole model.
  Emit(const Graph& of, const Facts& known, NodeId node, ModelWriter& writer, std::map<std::string, int>& used)
      : graph(of), facts(known), id(node), n(of.node(node)), writer_(writer), used_(used) {}

  const Graph& graph;
  const Facts& facts;
  const NodeId id;
  const Node& n;

  std::string in(size_t i);  // the name of an input's tensor; a constant becomes an initializer
  const Fact& fact(size_t i) const { return facts.of(n.inputs[i]); }
  int64_t rank(size_t i) const;                 // throws Error when it is not known
  const Tensor& need_constant(size_t i) const;  // throws Error when it is none
  bool is_constant(size_t i) const { return graph.constant(n.inputs[i]) != nullptr; }
  std::string own(int slot = 0) const;  // the name of an output's tensor
  std::string add(const std::string& op, const std::vector<std::string>& inputs, const AttrMap& attrs = {});  // something between
  void last(const std::string& op, const std::vector<std::string>& inputs, const AttrMap& attrs = {}, int outputs = 1);
  void one_of(const std::string& op, const std::vector<std::string>& inputs, const AttrMap& attrs,
              int slot);  // gives that output
  // Two outputs: the first is called `first`; the name of the second.
  std::string add_two(const std::string& op, const std::vector<std::string>& inputs, const AttrMap& attrs,
                      const std::string& first);
  std::string held(const std::string& what, const Tensor& tensor);  // an initializer "<node>/<what>"
  std::string ints(const std::vector<int64_t>& values);             // an initializer, int64 [n]
  std::string number(double value, DType type);                     // an initializer, []
  std::string as_int64(size_t i);                                   // an input that ONNX wants as int64
  std::vector<int64_t> axes(size_t i, int64_t rank) const;          // a constant of axes in [0, rank)

 private:
  std::string fresh(const std::string& base);
  ModelWriter& writer_;
  std::map<std::string, int>& used_;
};

struct EmitEntry {
  const char* op;
  void (*emit)(Emit&);
};
const std::vector<EmitEntry>& emit_math_entries();
const std::vector<EmitEntry>& emit_recurrent_entries();
const std::vector<EmitEntry>& emit_shape_entries();

}  // namespace cytodet::graph::onnx
