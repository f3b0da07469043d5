// Tensor arrays of one run: the TensorArray...V3 ops. A handle is a string scalar that numbers the array.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

class TensorArrays {
 public:
  static bool handles(const Node& node) { return node.op.starts_with("TensorArray") && node.op.ends_with("V3"); }
  // The outputs of one of those ops. Throws Error without the node.
  std::vector<Tensor> run(const Node& node, std::span<const Tensor> in);

 private:
  struct Array {
    DType dtype;
    std::optional<Shape> element;  // nothing: unknown
    bool grows;
    std::vector<Tensor> items;  // undefined where nothing was written
  };
  Array& of(const Tensor& handle);
  Tensor item(const Array& array, int64_t index) const;
  void write(Array& array, int64_t index, const Tensor& value) const;
  std::vector<Array> arrays_;
};

}  // namespace cytodet::graph
