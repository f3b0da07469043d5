// TensorFlow Lite models for tests, made of their tables.
#pragma once

#include <string>
#include <vector>

#include "lite_model_generated.h"

namespace cytodet::test {

namespace schema = cytodet::lite_schema;

struct LiteOpOptions {  // of an operator
  schema::BuiltinOptions kind = schema::BuiltinOptions::NONE;
  flatbuffers::Offset<void> table = 0;
};

class LiteWriter {
 public:
  // Tables that tensors and operators may share.
  using Quant = flatbuffers::Offset<schema::QuantizationParameters>;
  using List = flatbuffers::Offset<flatbuffers::Vector<int32_t>>;

  LiteWriter() { buffer({}); }

  int buffer(const std::string& data) {
    const auto bytes = fbb_.CreateVector(reinterpret_cast<const uint8_t*>(data.data()), data.size());
    buffers_.push_back(data.empty() ? schema::CreateBuffer(fbb_) : schema::CreateBuffer(fbb_, bytes));
    return static_cast<int>(buffers_.size()) - 1;
  }
  // Adds a float32 tensor and returns its number.
  int tensor(const std::string& name, const std::vector<int>& shape, const std::vector<int>& signature = {},
             const std::string& data = {}) {
    const int at = data.empty() ? 0 : buffer(data);
    return tensor_of(name, shape, at, signature);
  }
  int tensor_of(const std::string& name, const std::vector<int>& shape, int buffer, const std::vector<int>& signature = {}) {
    List open = 0;
    if (!signature.empty()) open = fbb_.CreateVector(signature);
    return tensor_of(fbb_.CreateString(name), shape, schema::TensorType::FLOAT32, buffer, 0, open);
  }
  int tensor_of(flatbuffers::Offset<flatbuffers::String> name, const std::vector<int>& shape, schema::TensorType type, int buffer,
                Quant quant = 0, List signature = 0) {
    const auto dims = fbb_.CreateVector(shape);
    tensors_.push_back(schema::CreateTensor(fbb_, dims, type, static_cast<uint32_t>(buffer), name, quant, false, 0, signature));
    return static_cast<int>(tensors_.size()) - 1;
  }
  Quant quant(const std::vector<float>& scales, const std::vector<int64_t>& zero_points, int axis = 0) {
    const auto scale = fbb_.CreateVector(scales);
    const auto zeros = fbb_.CreateVector(zero_points);
    schema::QuantizationParametersBuilder table(fbb_);
    table.add_scale(scale);
    table.add_zero_point(zeros);
    table.add_quantized_dimension(axis);
    return table.Finish();
  }
  List list(const std::vector<int>& values) { return fbb_.CreateVector(values); }
  void op(schema::BuiltinOperator code, const std::vector<int>& inputs, const std::vector<int>& outputs,
          const std::string& custom = {}) {
    const List in = list(inputs), out = list(outputs);
    op_of(code, in, out, {}, custom);
  }
  void op_of(schema::BuiltinOperator code, List inputs, List outputs, LiteOpOptions options = {},
             const std::string& custom = {}) {
    flatbuffers::Offset<flatbuffers::String> name = 0;
    if (!custom.empty()) name = fbb_.CreateString(custom);
    codes_.push_back(schema::CreateOperatorCode(fbb_, 0, name, 1, code));
    const auto index = static_cast<uint32_t>(codes_.size()) - 1;
    ops_.push_back(schema::CreateOperator(fbb_, index, inputs, outputs, options.kind, options.table));
  }
  LiteOpOptions conv_options() {
    return {schema::BuiltinOptions::Conv2DOptions, schema::CreateConv2DOptions(fbb_, schema::Padding::SAME, 1, 1).Union()};
  }
  LiteOpOptions variable(const std::string& name) {
    const auto text = fbb_.CreateString(name);
    return {schema::BuiltinOptions::VarHandleOptions, schema::CreateVarHandleOptions(fbb_, 0, text).Union()};
  }
  LiteOpOptions call_once(int graph) {
    return {schema::BuiltinOptions::CallOnceOptions, schema::CreateCallOnceOptions(fbb_, graph).Union()};
  }
  flatbuffers::FlatBufferBuilder& tables() { return fbb_; }

  // What follows is of the next graph, with tensors of its own.
  void end_graph(const std::vector<int>& inputs, const std::vector<int>& outputs) {
    const auto tensors = fbb_.CreateVector(tensors_);
    const List in = list(inputs), out = list(outputs);
    const auto ops = fbb_.CreateVector(ops_);
    graphs_.push_back(schema::CreateSubGraph(fbb_, tensors, in, out, ops));
    tensors_.clear();
    ops_.clear();
  }
  // `times`: how often the file lists the last graph.
  std::string bytes(const std::vector<int>& inputs, const std::vector<int>& outputs, size_t times = 1) {
    end_graph(inputs, outputs);
    const auto last = graphs_.back();
    graphs_.resize(graphs_.size() + times - 1, last);
    const auto codes = fbb_.CreateVector(codes_);
    const auto all = fbb_.CreateVector(graphs_);
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
  std::vector<flatbuffers::Offset<schema::SubGraph>> graphs_;
};

// `tensors` int8 tensors [scales] of one table of scales.
inline std::string lite_of_shared_scales(int tensors, size_t scales) {
  LiteWriter w;
  const LiteWriter::Quant quant = w.quant(std::vector<float>(scales, 0.5f), {});
  for (int i = 0; i < tensors; ++i)
    w.tensor_of(w.tables().CreateString("t" + std::to_string(i)), {static_cast<int>(scales)}, schema::TensorType::INT8, 0, quant);
  return w.bytes({0}, {0});
}
// `ops` sums of one list of inputs.
inline std::string lite_of_shared_inputs(int ops, size_t inputs) {
  LiteWriter w;
  w.tensor("x", {1});
  const LiteWriter::List in = w.list(std::vector<int>(inputs, 0));
  for (int i = 0; i < ops; ++i) {
    const LiteWriter::List out = w.list({w.tensor("y" + std::to_string(i), {1})});
    w.op_of(schema::BuiltinOperator::ADD_N, in, out);
  }
  return w.bytes({0}, {1});
}
// `ops` convolutions of one image by one filter of `channels` squared bytes.
inline std::string lite_of_shared_filter(int ops, int channels) {
  LiteWriter w;
  const int x = w.tensor("x", {1, 1, 1, channels});
  const auto bytes = static_cast<size_t>(channels) * static_cast<size_t>(channels);
  const int filter = w.tensor_of(w.tables().CreateString("filter"), {channels, 1, 1, channels}, schema::TensorType::INT8,
                                 w.buffer(std::string(bytes, '\1')), w.quant({0.5f}, {0}));
  std::vector<int> outputs;
  for (int i = 0; i < ops; ++i) {
    outputs.push_back(w.tensor("y" + std::to_string(i), {1, 1, 1, channels}));
    const LiteWriter::List in = w.list({x, filter}), out = w.list({outputs.back()});
    w.op_of(schema::BuiltinOperator::CONV_2D, in, out, w.conv_options());
  }
  return w.bytes({x}, outputs);
}

}  // namespace cytodet::test
