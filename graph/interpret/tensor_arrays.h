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
  // Whether the output of one of those ops is a tensor as any other: no handle, and nothing that orders reads and writes.
  static bool gives_tensor(const Node& node);
  // The outputs of one of those ops. Throws Error without the node.
  std::vector<Tensor> run(const Node& node, std::span<const Tensor> in) { return (this->*method(node))(node, in); }

 private:
  using Method = std::vector<Tensor> (TensorArrays::*)(const Node&, std::span<const Tensor>);
  static Method method(const Node& node);
  struct Array {
    DType dtype;
    std::optional<Shape> element;  // nothing: unknown
    bool grows;
    std::vector<Tensor> items;  // undefined where nothing was written
  };
  std::vector<Tensor> create(const Node& node, std::span<const Tensor> in);
  std::vector<Tensor> close(const Node& node, std::span<const Tensor> in);
  std::vector<Tensor> size(const Node& node, std::span<const Tensor> in);
  std::vector<Tensor> read(const Node& node, std::span<const Tensor> in);
  std::vector<Tensor> write(const Node& node, std::span<const Tensor> in);
  std::vector<Tensor> gather(const Node& node, std::span<const Tensor> in);
  std::vector<Tensor> concat(const Node& node, std::span<const Tensor> in);
  std::vector<Tensor> scatter(const Node& node, std::span<const Tensor> in);
  std::vector<Tensor> split(const Node& node, std::span<const Tensor> in);
  std::vector<Tensor> refuse(const Node& node, std::span<const Tensor> in);

  Array& of(std::span<const Tensor> in);  // of the handle, input 0
  Tensor item(const Array& array, int64_t index) const;
  void put(Array& array, int64_t index, const Tensor& value) const;
  std::vector<Array> arrays_;
};

}  // namespace cytodet::graph
