#include "graph/interpret/tensor_lists.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "graph/interpret/tensor_rows.h"

namespace cytodet::graph {
namespace {

constexpr int64_t kMaxItems = 1 << 22;
constexpr size_t kMaxLists = 1 << 21;

// A shape tensor: -1 alone is an unknown rank.
std::optional<Shape> element_of(const Tensor& t) {
  if (t.rank() == 0) return {};
  return Shape(t.as_ints());
}

size_t sized(int64_t items) {
  need(items >= 0 && items < kMaxItems, "the size is out of range");
  return static_cast<size_t>(items);
}

}  // namespace

int TensorLists::number(const Tensor& handle) const {
  need(handle.dtype() == DType::string && handle.size() == 1, "the handle is no tensor list");
  const std::string& text = handle.strings()[0];
  need(!text.empty() && text.size() < 9 && text.find_first_not_of("0123456789") == std::string::npos &&
           std::stoul(text) < lists_.size(),
       "the handle is no tensor list");
  return std::stoi(text);
}

TensorLists::List& TensorLists::of(const Tensor& handle) {
  const size_t at = static_cast<size_t>(number(handle));
  if (lists_[at].newer < 0) return lists_[at];
  // An older version: its newest one's items, with what was there before.
  std::vector<size_t> way{at};
  while (lists_[way.back()].newer >= 0) way.push_back(static_cast<size_t>(lists_[way.back()].newer));
  std::vector<Tensor> items = lists_[way.back()].items;
  items_ += static_cast<int64_t>(items.size());
  need(items_ < kMaxItems, "the lists hold too many items");
  for (size_t k = way.size() - 1; k-- > 0;) {
    const List& l = lists_[way[k]];
    items[static_cast<size_t>(l.index)] = l.old;
  }
  lists_[at].items = std::move(items);
  lists_[at].newer = -1;
  lists_[at].old = Tensor();
  return lists_[at];
}

std::vector<Tensor> TensorLists::add(List list) {
  items_ += static_cast<int64_t>(list.items.size());
  need(items_ < kMaxItems && lists_.size() < kMaxLists, "the lists hold too many items");
  lists_.push_back(std::move(list));
  Tensor handle(DType::string, {});
  handle.strings()[0] = std::to_string(lists_.size() - 1);
  return {handle};
}

Tensor TensorLists::item(const List& list, int64_t index, const std::optional<Shape>& element) const {
  need(index >= 0 && index < static_cast<int64_t>(list.items.size()),
       "index " + std::to_string(index) + " is outside of the tensor list");
  const Tensor& t = list.items[static_cast<size_t>(index)];
  if (t.defined()) return t;
  for (const std::optional<Shape>& s : {element, list.element})
    if (s && is_static(*s)) return zeros(list.dtype, *s);
  for (const Tensor& other : list.items)
    if (other.defined()) return zeros(list.dtype, other.shape());
  throw Error("", "item " + std::to_string(index) + " of the tensor list was never written");
}

std::vector<Tensor> TensorLists::set(const Tensor& handle, int64_t index, const Tensor& value, bool grows) {
  List& l = of(handle);
  need(value.dtype() == l.dtype, "a " + name_of(value.dtype()) + " item for a tensor list of " + name_of(l.dtype));
  const int64_t size = static_cast<int64_t>(l.items.size());
  need(index >= 0 && index < (grows ? kMaxItems : size), "index " + std::to_string(index) + " is outside of the tensor list");
  List next{l.dtype, l.element, {}, -1, 0, {}};
  if (index >= size) {
    next.items = l.items;
    next.items.resize(static_cast<size_t>(index) + 1);
    next.items.back() = value;
    return add(std::move(next));
  }
  next.items = std::move(l.items);
  l.items.clear();
  l.newer = static_cast<int>(lists_.size());
  l.index = index;
  l.old = std::exchange(next.items[static_cast<size_t>(index)], value);
  items_ -= static_cast<int64_t>(next.items.size());
  return add(std::move(next));
}

std::vector<Tensor> TensorLists::scatter(List list, const Tensor& values, const std::vector<int64_t>& index, int64_t size) {
  need(values.rank() >= 1 && values.dim(0) == static_cast<int64_t>(index.size()), "needs one item per index");
  for (int64_t i : index) {
    need(i >= 0, "index " + std::to_string(i) + " is outside of the tensor list");
    size = std::max(size, i + 1);
  }
  list.items.resize(sized(size));
  for (size_t i = 0; i < index.size(); ++i)
    list.items[static_cast<size_t>(index[i])] = without_first(rows(values, static_cast<int64_t>(i), 1));
  return add(std::move(list));
}

std::vector<Tensor> TensorLists::gather(const List& list, const std::vector<int64_t>& index,
                                        const std::optional<Shape>& element) const {
  std::vector<Tensor> parts;
  for (int64_t i : index) parts.push_back(item(list, i, element));
  return {stacked(parts, element.value_or(list.element.value_or(Shape{})), list.dtype)};
}

std::vector<Tensor> TensorLists::concat(const List& list) const {
  std::vector<Tensor> parts;
  for (size_t i = 0; i < list.items.size(); ++i) parts.push_back(item(list, static_cast<int64_t>(i), {}));
  std::vector<int64_t> lengths;
  const Shape s = concatenated(parts, lengths);
  return {joined(parts, s, list.dtype), Tensor::from({static_cast<int64_t>(lengths.size())}, lengths)};
}

bool TensorLists::gives_tensor(const Node& node) {
  return node.op == "TensorListStack" || node.op == "TensorListGather" || node.op == "TensorListConcatV2" ||
         node.op == "TensorListLength";
}

std::vector<Tensor> TensorLists::run(const Node& node, std::span<const Tensor> in) {
  const std::string op = node.op == "EmptyTensorList" ? "Empty" : node.op.substr(10);  // behind "TensorList"
  auto arg = [&](size_t i) -> const Tensor& {
    need(i < in.size(), "needs input " + std::to_string(i));
    return in[i];
  };
  const DType type = node.attr_or("element_dtype", DType::invalid);
  if (op == "Reserve") return add({type, element_of(arg(0)), std::vector<Tensor>(sized(arg(1).as_int())), -1, 0, {}});
  if (op == "Empty") return add({type, element_of(arg(0)), {}, -1, 0, {}});
  if (op == "FromTensor") {
    const Tensor& x = arg(0);
    need(x.rank() >= 1, "scalars cannot be split");
    List l{x.dtype(), Shape(x.shape().begin() + 1, x.shape().end()), {}, -1, 0, {}};
    for (int64_t i = 0; i < x.dim(0); ++i) l.items.push_back(without_first(rows(x, i, 1)));
    return add(std::move(l));
  }
  if (op == "ScatterV2")
    return scatter({arg(0).dtype(), element_of(arg(2)), {}, -1, 0, {}}, arg(0), arg(1).as_ints(), arg(3).as_int());
  if (op == "ScatterIntoExistingList") {
    const List& into = of(arg(0));
    return scatter(into, arg(1), arg(2).as_ints(), static_cast<int64_t>(into.items.size()));
  }
  if (op == "Split") return add({arg(0).dtype(), element_of(arg(1)), split(arg(0), arg(2).as_ints()), -1, 0, {}});
  if (op == "SetItem") return set(arg(0), arg(1).as_int(), arg(2), node.attr_or("resize_if_index_out_of_bounds", false));
  List& l = of(arg(0));
  if (op == "Length") return {Tensor::scalar(static_cast<int32_t>(l.items.size()))};
  if (op == "GetItem") return {item(l, arg(1).as_int(), element_of(arg(2)))};
  if (op == "PushBack") {
    List next = l;
    next.items.push_back(arg(1));
    return add(std::move(next));
  }
  if (op == "PopBack") {
    need(!l.items.empty(), "the tensor list is empty");
    const Tensor last = item(l, static_cast<int64_t>(l.items.size()) - 1, element_of(arg(1)));
    List next = l;
    next.items.pop_back();
    return {add(std::move(next))[0], last};
  }
  if (op == "Resize") {
    List next = l;
    next.items.resize(sized(arg(1).as_int()));
    return add(std::move(next));
  }
  if (op == "Gather") return gather(l, arg(1).as_ints(), element_of(arg(2)));
  if (op == "Stack") {
    std::vector<int64_t> all(l.items.size());
    std::iota(all.begin(), all.end(), 0);
    return gather(l, all, element_of(arg(1)));
  }
  if (op == "ConcatV2") return concat(l);
  throw Error("", "is not supported");
}

}  // namespace cytodet::graph
