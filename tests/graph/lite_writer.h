// TensorFlow Lite models for tests, made of their tables.
#pragma once

#include <string>
#include <vector>

#include "lite_model_generated.h"

namespace cytodet::testing {

namespace schema = cytodet::lite_schema;

class LiteWriter {
 public:
  LiteWriter() { buffer({}); }

  int buffer(const std::string& data) {
    const auto bytes = fbb_.CreateVector(reinterpret_cast<const uint8_t*>(data.data()), data.size());
    buffers_.push_back(data.empty() ? schema::CreateBuffer(fbb_) : schema::CreateBuffer(fbb_, bytes));
    return static_cast<int>(buffers_.size()) - 1;
  }
  // Of float32; returns its number.
  int tensor(const std::string& name, const std::vector<int>& shape, const std::vector<int>& signature = {},
             const std::string& data = {}) {
    const int at = data.empty() ? 0 : buffer(data);
    return tensor_of(name, shape, at, signature);
  }
  int tensor_of(const std::string& name, const std::vector<int>& shape, int buffer, const std::vector<int>& signature = {}) {
    const auto dims = fbb_.CreateVector(shape);
    const auto text = fbb_.CreateString(name);
    flatbuffers::Offset<flatbuffers::Vector<int32_t>> open = 0;
    if (!signature.empty()) open = fbb_.CreateVector(signature);
    tensors_.push_back(
        schema::CreateTensor(fbb_, dims, schema::TensorType::FLOAT32, static_cast<uint32_t>(buffer), text, 0, false, 0, open));
    return static_cast<int>(tensors_.size()) - 1;
  }
  void op(schema::BuiltinOperator code, const std::vector<int>& inputs, const std::vector<int>& outputs,
          const std::string& custom = {}) {
    flatbuffers::Offset<flatbuffers::String> name = 0;
    if (!custom.empty()) name = fbb_.CreateString(custom);
    codes_.push_back(schema::CreateOperatorCode(fbb_, 0, name, 1, code));
    const auto in = fbb_.CreateVector(inputs), out = fbb_.CreateVector(outputs);
    ops_.push_back(schema::CreateOperator(fbb_, static_cast<uint32_t>(codes_.size()) - 1, in, out));
  }
  std::string bytes(const std::vector<int>& inputs, const std::vector<int>& outputs) {
    const auto tensors = fbb_.CreateVector(tensors_);
    const auto in = fbb_.CreateVector(inputs), out = fbb_.CreateVector(outputs);
    const auto ops = fbb_.CreateVector(ops_);
    const std::vector graphs{schema::CreateSubGraph(fbb_, tensors, in, out, ops)};
    const auto codes = fbb_.CreateVector(codes_);
    const auto all = fbb_.CreateVector(graphs);
    const auto buffers = fbb_.CreateVector(buffers_);
    schema::FinishModelBuffer(fbb_, schema::CreateModel(fbb_, 3, codes, all, 0, buffers));
    return {reinterpret_cast<const char*>(fbb_.GetBufferPointer()), fbb_.GetSize()};
  }

 private:
  flatbuffers::FlatBufferBuilder fbb_;
  std::vector<flatbuffers::Offset<schema::Buffer>> buffers_;
  std::vector<flatbuffers::Offset<schema::Tensor>> tensors_;
  std::vector<flatbuffers::Offset<schema::OperatorCode>> codes_;
  std::vector<flatbuffers::Offset<schema::Operator>> ops_;
};

}  // namespace cytodet::testing
