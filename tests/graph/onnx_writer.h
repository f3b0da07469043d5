// Bytes of small ONNX models, field by field.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/graph/varint.h"

namespace cytodet::test {

inline std::string onnx_number(int field, int64_t v) {
  return varint(static_cast<uint64_t>(field) << 3) + varint(static_cast<uint64_t>(v));
}
inline std::string onnx_bytes(int field, const std::string& v) {
  return varint(static_cast<uint64_t>(field) << 3 | 2) + varint(v.size()) + v;
}

inline std::string onnx_node(const std::string& op, const std::vector<std::string>& inputs,
                             const std::vector<std::string>& outputs, const std::string& attributes = {},
                             const std::string& name = {}) {
  std::string n;
  for (const auto& i : inputs) n += onnx_bytes(1, i);
  for (const auto& o : outputs) n += onnx_bytes(2, o);
  return onnx_bytes(1, n + (name.empty() ? "" : onnx_bytes(3, name)) + onnx_bytes(4, op) + attributes);
}
inline std::string onnx_ints(const std::string& name, const std::vector<int64_t>& values) {
  std::string a = onnx_bytes(1, name);
  for (int64_t v : values) a += onnx_number(8, v);
  return onnx_bytes(5, a + onnx_number(20, 7));
}
inline std::string onnx_value(int field, const std::string& name, const std::vector<int64_t>& dims, int type = 1) {
  std::string shape;
  for (int64_t d : dims) shape += onnx_bytes(1, onnx_number(1, d));
  return onnx_bytes(field, onnx_bytes(1, name) + onnx_bytes(2, onnx_bytes(1, onnx_number(1, type) + onnx_bytes(2, shape))));
}
inline std::string onnx_input(const std::string& name, const std::vector<int64_t>& dims, int type = 1) {
  return onnx_value(11, name, dims, type);
}
inline std::string onnx_output(const std::string& name) { return onnx_bytes(12, onnx_bytes(1, name)); }
inline std::string onnx_number_attr(const std::string& name, int64_t value) {
  return onnx_bytes(5, onnx_bytes(1, name) + onnx_number(3, value) + onnx_number(20, 2));
}
inline std::string onnx_text_attr(const std::string& name, const std::string& value) {
  return onnx_bytes(5, onnx_bytes(1, name) + onnx_bytes(4, value) + onnx_number(20, 3));
}
inline std::string onnx_graph_attr(const std::string& name, const std::string& graph) {
  return onnx_bytes(5, onnx_bytes(1, name) + onnx_bytes(6, graph) + onnx_number(20, 5));
}
// rest: fields of the values.
inline std::string onnx_tensor(const std::string& name, const std::vector<int64_t>& dims, int type, const std::string& rest) {
  std::string t;
  for (int64_t d : dims) t += onnx_number(1, d);
  return onnx_bytes(5, t + onnx_number(2, type) + onnx_bytes(8, name) + rest);
}
inline std::string onnx_floats(const std::vector<float>& values) {  // of a tensor
  return onnx_bytes(9, std::string(reinterpret_cast<const char*>(values.data()), 4 * values.size()));
}
inline std::string onnx_external(const std::string& location, const std::string& offset = {}, const std::string& length = {}) {
  const auto entry = [](const std::string& key, const std::string& value) {
    return onnx_bytes(13, onnx_bytes(1, key) + onnx_bytes(2, value));
  };
  return entry("location", location) + (offset.empty() ? "" : entry("offset", offset)) +
         (length.empty() ? "" : entry("length", length)) + onnx_number(14, 1);
}
inline std::string onnx_model(const std::string& graph, int64_t opset = 17) {
  return onnx_number(1, 8) + onnx_bytes(7, graph) + onnx_bytes(8, onnx_number(2, opset));
}

}  // namespace cytodet::test
