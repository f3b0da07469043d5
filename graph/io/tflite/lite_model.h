// A TensorFlow Lite file (.tflite) as it lies in memory, checked: every offset, index and size in it is in range.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace cytodet::lite_schema {
struct Operator;
}

namespace cytodet::graph::lite {

// number = (stored - zero_point) * scale, per tensor, or per entry of an axis.
struct LiteQuant {
  std::vector<float> scale;         // empty: the stored values are the numbers
  std::vector<int64_t> zero_point;  // as many as scales
  int axis = 0;
};

struct LiteTensor {
  std::string name;
  DType dtype = DType::invalid;
  bool is_int4 = false;  // two values a byte; dtype is i8
  bool is_sparse = false;
  Shape shape;                     // what the interpreter takes before a size is stated
  std::optional<Shape> signature;  // with -1 where the size is open; empty: as shape
  std::string_view data;           // in the file; empty: made while it runs
  LiteQuant quant;

  bool is_quantized() const {  // 8-bit or 16-bit stored values of numbers
    return !quant.scale.empty() && (dtype == DType::i8 || dtype == DType::u8 || dtype == DType::i16);
  }
  // The stored values. Throws Error: no data, or a type that a Graph does not hold.
  Tensor stored() const;
};

// The smallest and the largest stored value of a quantized tensor.
struct StoredRange {
  int64_t low = 0, high = 0;
};
StoredRange stored_range(const LiteTensor& tensor);

struct LiteOp {
  int code = 0;
  std::string custom;                          // the name of a custom operator
  std::vector<int> inputs, outputs;            // tensors; -1: left out
  const lite_schema::Operator* raw = nullptr;  // for its options

  std::string name() const;  // "CONV_2D", or that of a custom operator
};

struct LiteGraph {
  std::vector<LiteTensor> tensors;
  std::vector<LiteOp> ops;
  std::vector<int> inputs, outputs;
};

struct LiteModel {
  std::shared_ptr<const char> bytes;  // what the views and pointers below look into
  int64_t size = 0;                   // of the file, in bytes
  std::vector<LiteGraph> graphs;      // the first is the model
};

// Throws Error with `where`: bytes that are no TensorFlow Lite model of version 3 or a damaged one, data that do not fit their
// tensor's shape, zero points that are no stored values, tables that together are far larger than the file, because many of
// them share a name, a list or data. `bytes` are copied where they are not aligned.
LiteModel parse_lite(std::string_view bytes, const std::string& where);

}  // namespace cytodet::graph::lite
