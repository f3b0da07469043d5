#include "graph/interpret/tensor_arrays.h"

#include <algorithm>

#include "core/error.h"
#include "graph/interpret/tensor_rows.h"

namespace cytodet::graph {
namespace {

constexpr int64_t max_items = 1 << 24;

const Tensor& arg(std::span<const Tensor> in, size_t i) {
  if (i >= in.size()) throw Error("", "needs input " + std::to_string(i));
  return in[i];
}

Tensor flow() { return Tensor::scalar(0.0f); }

}  // namespace

bool TensorArrays::gives_tensor(const Node& node) {
  return node.op == "TensorArrayReadV3" || node.op == "TensorArrayGatherV3" || node.op == "TensorArrayConcatV3" ||
         node.op == "TensorArraySizeV3";
}

TensorArrays::Method TensorArrays::method(const Node& node) {
  struct Entry {
    const char* op;
    Method method;
  };
  static constexpr Entry kEntries[] = {
      {"TensorArrayV3", &TensorArrays::create},       {"TensorArrayCloseV3", &TensorArrays::close},
      {"TensorArraySizeV3", &TensorArrays::size},     {"TensorArrayReadV3", &TensorArrays::read},
      {"TensorArrayWriteV3", &TensorArrays::write},   {"TensorArrayGatherV3", &TensorArrays::gather},
      {"TensorArrayConcatV3", &TensorArrays::concat}, {"TensorArrayScatterV3", &TensorArrays::scatter},
      {"TensorArraySplitV3", &TensorArrays::split},
  };
  for (const Entry& entry : kEntries)
    if (node.op == entry.op) return entry.method;
  return &TensorArrays::refuse;
}

TensorArrays::Array& TensorArrays::of(std::span<const Tensor> in) {
  const Tensor& handle = arg(in, 0);
  need(handle.dtype() == DType::string && handle.size() == 1, "the handle is no tensor array");
  const std::string& text = handle.strings()[0];
  need(!text.empty() && text.size() < 9 && text.find_first_not_of("0123456789") == std::string::npos &&
           std::stoul(text) < arrays_.size(),
       "the handle is no tensor array");
  return arrays_[std::stoul(text)];
}

Tensor TensorArrays::item(const Array& array, int64_t index) const {
  if (index < 0 || index >= static_cast<int64_t>(array.items.size()))
    throw Error("", "index " + std::to_string(index) + " is outside of the tensor array");
  const Tensor& t = array.items[static_cast<size_t>(index)];
  if (t.defined()) return t;
  if (array.element && is_static(*array.element)) return Tensor(array.dtype, *array.element);
  for (const Tensor& other : array.items)
    if (other.defined()) return Tensor(array.dtype, other.shape());
  throw Error("", "item " + std::to_string(index) + " of the tensor array was never written");
}

void TensorArrays::put(Array& array, int64_t index, const Tensor& value) const {
  if (value.dtype() != array.dtype)
    throw Error("", "a " + name_of(value.dtype()) + " item for a tensor array of " + name_of(array.dtype));
  if (index < 0 || index >= (array.grows ? max_items : static_cast<int64_t>(array.items.size())))
    throw Error("", "index " + std::to_string(index) + " is outside of the tensor array");
  if (index >= static_cast<int64_t>(array.items.size())) array.items.resize(static_cast<size_t>(index) + 1);
  array.items[static_cast<size_t>(index)] = value;
}

std::vector<Tensor> TensorArrays::create(const Node& node, std::span<const Tensor> in) {
  const int64_t size = arg(in, 0).as_int();
  need(size >= 0 && size < max_items && arrays_.size() < 1000000, "the size is out of range");
  Array a{node.attr<DType>("dtype"), {}, node.attr_or("dynamic_size", false), std::vector<Tensor>(static_cast<size_t>(size))};
  if (const ShapeAttr s = node.attr_or("element_shape", ShapeAttr{false, {}}); s.known_rank) a.element = s.dims;
  arrays_.push_back(std::move(a));
  Tensor handle(DType::string, {});
  handle.strings()[0] = std::to_string(arrays_.size() - 1);
  return {handle, flow()};
}

std::vector<Tensor> TensorArrays::close(const Node&, std::span<const Tensor> in) {
  of(in);
  return {};
}

std::vector<Tensor> TensorArrays::size(const Node&, std::span<const Tensor> in) {
  return {Tensor::scalar(static_cast<int32_t>(of(in).items.size()))};
}

std::vector<Tensor> TensorArrays::read(const Node&, std::span<const Tensor> in) { return {item(of(in), arg(in, 1).as_int())}; }

std::vector<Tensor> TensorArrays::write(const Node&, std::span<const Tensor> in) {
  put(of(in), arg(in, 1).as_int(), arg(in, 2));
  return {flow()};
}

std::vector<Tensor> TensorArrays::gather(const Node&, std::span<const Tensor> in) {
  const Array& a = of(in);
  std::vector<Tensor> parts;
  for (int64_t i : arg(in, 1).as_ints()) parts.push_back(item(a, i));
  return {stacked(parts, a.element.value_or(Shape{}), a.dtype)};
}

std::vector<Tensor> TensorArrays::concat(const Node&, std::span<const Tensor> in) {
  const Array& a = of(in);
  std::vector<Tensor> parts;
  for (size_t i = 0; i < a.items.size(); ++i) parts.push_back(item(a, static_cast<int64_t>(i)));
  std::vector<int64_t> lengths;
  const Shape s = concatenated(parts, lengths);
  return {joined(parts, s, a.dtype), Tensor::from({static_cast<int64_t>(lengths.size())}, lengths)};
}

std::vector<Tensor> TensorArrays::scatter(const Node&, std::span<const Tensor> in) {
  Array& a = of(in);
  const std::vector<int64_t> index = arg(in, 1).as_ints();
  const Tensor& values = arg(in, 2);
  need(values.rank() >= 1 && values.dim(0) == static_cast<int64_t>(index.size()), "needs one item per index");
  for (size_t i = 0; i < index.size(); ++i) put(a, index[i], without_first(rows(values, static_cast<int64_t>(i), 1)));
  return {flow()};
}

std::vector<Tensor> TensorArrays::split(const Node&, std::span<const Tensor> in) {
  Array& a = of(in);
  const std::vector<Tensor> parts = graph::split(arg(in, 1), arg(in, 2).as_ints());
  for (size_t i = 0; i < parts.size(); ++i) put(a, static_cast<int64_t>(i), parts[i]);
  return {flow()};
}

std::vector<Tensor> TensorArrays::refuse(const Node&, std::span<const Tensor> in) {
  of(in);
  throw Error("", "is not supported");
}

}  // namespace cytodet::graph
