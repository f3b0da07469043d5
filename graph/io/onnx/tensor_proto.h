// ONNX's TensorProto into a Tensor. Included by sources of this folder only.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "core/tensor.h"

namespace cytodet::onnx_proto {
class TensorProto;
}

namespace cytodet::graph::onnx {

// DType::invalid for a number that a Graph has no type for.
DType dtype_of_onnx(int data_type);
int onnx_type_of(DType dtype);                 // 0 when ONNX has none
std::string name_of_onnx_type(int data_type);  // "float8e4m3fn", "int4", "type 99"

// Files with external data, each read once.
class ExternalData {
 public:
  explicit ExternalData(std::filesystem::path folder) : folder_(std::move(folder)) {}
  // `length` bytes at `offset` of the file that a model names; length -1: all that follows. Throws Error: a path that is absolute
  // or leads out of the folder, also through a symbolic link; no such file; fewer bytes.
  std::string_view bytes(const std::string& location, int64_t offset, int64_t length);

 private:
  std::filesystem::path folder_;
  std::map<std::string, std::string> files_;
};

// Throws Error without the tensor's name.
Tensor decode_onnx_tensor(const onnx_proto::TensorProto& message, ExternalData& external);

}  // namespace cytodet::graph::onnx
