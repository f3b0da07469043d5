// Tensor lists of one run: the TensorList... ops. A list is a value: whoever changes it gets a new one. A handle is a string
// scalar that numbers it.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

class TensorLists {
 public:
  static bool handles(const Node& node) { return node.op.starts_with("TensorList") || node.op == "EmptyTensorList"; }
  // Whether no output of one of those ops is a list.
  static bool gives_tensor(const Node& node);
  // The outputs of one of those ops. Throws Error without the node.
  std::vector<Tensor> run(const Node& node, std::span<const Tensor> in);

 private:
  // The newest version of a list holds the items; an older one says what it has otherwise (so that a loop that writes item by
  // item copies nothing).
  struct List {
    DType dtype = DType::invalid;
    std::optional<Shape> element;  // nothing: unknown
    std::vector<Tensor> items;     // undefined where nothing was written
    int newer = -1;
    int64_t index = 0;
    Tensor old;
  };
  int number(const Tensor& handle) const;
  List& of(const Tensor& handle);
  std::vector<Tensor> add(List list);
  Tensor item(const List& list, int64_t index, const std::optional<Shape>& element) const;
  std::vector<Tensor> set(const Tensor& handle, int64_t index, const Tensor& value, bool grows);
  // The list with values[i] as item index[i], and at least `size` items.
  std::vector<Tensor> scatter(List list, const Tensor& values, const std::vector<int64_t>& index, int64_t size);
  // The items of these indices along a new first dimension.
  std::vector<Tensor> gather(const List& list, const std::vector<int64_t>& index, const std::optional<Shape>& element) const;
  // {the items concatenated along their first dimension, their lengths}.
  std::vector<Tensor> concat(const List& list) const;

  std::vector<List> lists_;
  int64_t items_ = 0;
};

}  // namespace cytodet::graph
