#include "graph/interpret/tensor_arrays.h"

#include <algorithm>

#include "core/error.h"
#include "graph/interpret/tensor_rows.h"

namespace cytodet::graph {
namespace {

constexpr int64_t max_items = 1 << 24;

void need(bool ok, const std::string& problem) {
  if (!ok) throw Error("", problem);
}

}  // namespace

TensorArrays::Array& TensorArrays::of(const Tensor& handle) {
  need(handle.dtype() == DType::string && handle.size() == 1, "the handle is no tensor array");
  const std::string& text = handle.strings()[0];
  need(!text.empty() && text.size() < 9 && text.find_first_not_of("0123456789") == std::string::npos &&
           std::stoul(text) < arrays_.size(),
       "the handle is no tensor array");
  return arrays_[std::stoul(text)];
}

Tensor TensorArrays::item(const Array& array, int64_t index) const {
  need(index >= 0 && index < static_cast<int64_t>(array.items.size()),
       "index " + std::to_string(index) + " is outside of the tensor array");
  const Tensor& t = array.items[static_cast<size_t>(index)];
  if (t.defined()) return t;
  if (array.element && is_static(*array.element)) return Tensor(array.dtype, *array.element);
  for (const Tensor& other : array.items)
    if (other.defined()) return Tensor(array.dtype, other.shape());
  throw Error("", "item " + std::to_string(index) + " of the tensor array was never written");
}

void TensorArrays::write(Array& array, int64_t index, const Tensor& value) const {
  need(value.dtype() == array.dtype, "a " + name_of(value.dtype()) + " item for a tensor array of " + name_of(array.dtype));
  need(index >= 0 && index < (array.grows ? max_items : static_cast<int64_t>(array.items.size())),
       "index " + std::to_string(index) + " is outside of the tensor array");
  if (index >= static_cast<int64_t>(array.items.size())) array.items.resize(static_cast<size_t>(index) + 1);
  array.items[static_cast<size_t>(index)] = value;
}

std::vector<Tensor> TensorArrays::run(const Node& node, std::span<const Tensor> in) {
  const std::string op = node.op.substr(11, node.op.size() - 13);  // between "TensorArray" and "V3"
  const Tensor flow = Tensor::scalar(0.0f);
  auto arg = [&](size_t i) -> const Tensor& {
    need(i < in.size(), "needs input " + std::to_string(i));
    return in[i];
  };
  if (op.empty()) {
    const int64_t size = arg(0).as_int();
    need(size >= 0 && size < max_items && arrays_.size() < 1000000, "the size is out of range");
    Array a{node.attr<DType>("dtype"), {}, node.attr_or("dynamic_size", false), std::vector<Tensor>(static_cast<size_t>(size))};
    if (const ShapeAttr s = node.attr_or("element_shape", ShapeAttr{false, {}}); s.known_rank) a.element = s.dims;
    arrays_.push_back(std::move(a));
    Tensor handle(DType::string, {});
    handle.strings()[0] = std::to_string(arrays_.size() - 1);
    return {handle, flow};
  }
  Array& a = of(arg(0));
  if (op == "Close") return {};
  if (op == "Size") return {Tensor::scalar(static_cast<int32_t>(a.items.size()))};
  if (op == "Read") return {item(a, arg(1).as_int())};
  if (op == "Write") {
    write(a, arg(1).as_int(), arg(2));
    return {flow};
  }
  if (op == "Gather") {
    std::vector<Tensor> parts;
    for (int64_t i : arg(1).as_ints()) parts.push_back(item(a, i));
    return {stacked(parts, a.element.value_or(Shape{}), a.dtype)};
  }
  if (op == "Concat") {
    std::vector<Tensor> parts;
    for (size_t i = 0; i < a.items.size(); ++i) parts.push_back(item(a, static_cast<int64_t>(i)));
    std::vector<int64_t> lengths;
    const Shape s = concatenated(parts, lengths);
    return {joined(parts, s, a.dtype), Tensor::from({static_cast<int64_t>(lengths.size())}, lengths)};
  }
  if (op == "Scatter") {
    const std::vector<int64_t> index = arg(1).as_ints();
    need(arg(2).rank() >= 1 && arg(2).dim(0) == static_cast<int64_t>(index.size()), "needs one item per index");
    for (size_t i = 0; i < index.size(); ++i) write(a, index[i], without_first(rows(arg(2), static_cast<int64_t>(i), 1)));
    return {flow};
  }
  if (op == "Split") {
    const std::vector<Tensor> parts = split(arg(1), arg(2).as_ints());
    for (size_t i = 0; i < parts.size(); ++i) write(a, static_cast<int64_t>(i), parts[i]);
    return {flow};
  }
  throw Error("", "is not supported");
}

}  // namespace cytodet::graph
