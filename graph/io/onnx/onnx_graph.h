// An ONNX model in memory, as its file has it: what the translation (translation.h) makes a Graph of.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/tensor.h"
#include "graph/ir/op.h"

namespace cytodet::graph::onnx {

struct OnnxGraph;

// std::monostate: of a kind that is not read (lists of tensors or graphs, sparse tensors, types).
using OnnxAttr = std::variant<std::monostate, float, int64_t, std::string, Tensor, std::shared_ptr<OnnxGraph>, std::vector<float>,
                              std::vector<int64_t>, std::vector<std::string>>;

struct OnnxNode {
  std::string name, op, domain;
  std::vector<std::string> inputs, outputs;  // names of tensors; "": left out
  std::map<std::string, OnnxAttr, std::less<>> attrs;

  std::string called() const;  // "node conv1", with its first output where it has no name
  std::string text() const;    // "node conv1 (Conv)"
};

struct OnnxValue {
  std::string name;
  DType dtype = DType::invalid;
  std::optional<Shape> shape;  // -1: a dimension without a number; nothing: no shape stated
};

struct OnnxGraph {
  std::vector<OnnxNode> nodes;
  std::vector<std::pair<std::string, Tensor>> initializers;
  std::vector<OnnxValue> inputs, outputs;
};

struct OnnxModel {
  std::map<std::string, int64_t> opsets;  // by domain, "" is ONNX's own
  OnnxGraph graph;
};

}  // namespace cytodet::graph::onnx
