// Attribute values of a node, as TensorFlow's AttrValue knows them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/tensor.h"

namespace cytodet::graph {

// A shape attribute: known rank with -1 for unknown dimensions, or unknown rank.
struct ShapeAttr {
  bool known_rank = true;
  Shape dims;
  friend bool operator==(const ShapeAttr&, const ShapeAttr&) = default;

  // True where a tensor of `shape` may be what this attribute describes. TensorFlow writes {} also for a shape that was not known
  // when the node was made, so {} admits every shape, not only scalars.
  bool admits(const Shape& shape) const;
};

struct AttrList {
  std::vector<std::string> strings;
  std::vector<int64_t> ints;
  std::vector<float> floats;
  std::vector<bool> bools;
  std::vector<DType> types;
  std::vector<ShapeAttr> shapes;
};

class Attr;
using AttrMap = std::map<std::string, Attr, std::less<>>;

struct FuncAttr {
  std::string name;
  std::shared_ptr<const AttrMap> attrs;
};

// std::monostate: a kind we only carry (placeholder, list of tensors or functions, tensor of a type we cannot hold);
// then `wire` alone holds the value.
using AttrValue = std::variant<std::monostate, std::string, int64_t, float, bool, DType, ShapeAttr, Tensor, AttrList, FuncAttr>;

class Attr {
 public:
  Attr() = default;
  template <class T>
  requires(!std::same_as<std::decay_t<T>, Attr>) Attr(T value) : value_(std::move(value)) {}
  Attr(const char* s) : value_(std::string(s)) {}
  Attr(int i) : value_(int64_t{i}) {}
  Attr(AttrValue value, std::shared_ptr<const std::string> wire) : value_(std::move(value)), wire_(std::move(wire)) {}

  template <class T>
  const T* get() const {
    return std::get_if<T>(&value_);
  }
  const AttrValue& value() const { return value_; }
  // The encoded AttrValue this was read from (null when a pass made it): written back unchanged, so a round trip loses nothing.
  const std::shared_ptr<const std::string>& wire() const { return wire_; }

 private:
  AttrValue value_;
  std::shared_ptr<const std::string> wire_;
};

// The value under `key`; null when it is missing or of another kind.
template <class T>
const T* find_attr(const AttrMap& attrs, std::string_view key) {
  const auto it = attrs.find(key);
  return it == attrs.end() ? nullptr : it->second.get<T>();
}

}  // namespace cytodet::graph
