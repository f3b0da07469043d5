#include "graph/io/tflite/write/encode.h"

#include <map>

#include "core/error.h"

namespace cytodet::graph::lite {
namespace {

constexpr int64_t kMaxBytes = (int64_t{1} << 31) - (1 << 20);
constexpr size_t kBufferAlignment = 16;

schema::TensorType type_of(DType t) {
  switch (t) {
    case DType::f32:
      return schema::TensorType::FLOAT32;
    case DType::f16:
      return schema::TensorType::FLOAT16;
    case DType::f64:
      return schema::TensorType::FLOAT64;
    case DType::i8:
      return schema::TensorType::INT8;
    case DType::i16:
      return schema::TensorType::INT16;
    case DType::i32:
      return schema::TensorType::INT32;
    case DType::i64:
      return schema::TensorType::INT64;
    case DType::u8:
      return schema::TensorType::UINT8;
    case DType::u16:
      return schema::TensorType::UINT16;
    case DType::u32:
      return schema::TensorType::UINT32;
    case DType::u64:
      return schema::TensorType::UINT64;
    case DType::boolean:
      return schema::TensorType::BOOL;
    default:
      throw Error("", "type " + core::name_of(t) + " is not written");
  }
}

class LiteEncoder {
 public:
  explicit LiteEncoder(const LiteNet& net) : net_(net) {}

  std::string bytes() {
    int64_t size = 0;
    for (const NetTensor& t : net_.tensors)
      if (t.data) size += static_cast<int64_t>(t.data->bytes());
    if (size > kMaxBytes) throw Error("", "has more than 2 GB of constants", "TensorFlow Lite files end there");
    buffers_.push_back(schema::CreateBuffer(b_));
    std::vector<flatbuffers::Offset<schema::Operator>> ops;
    for (const NetOp& op : net_.ops) ops.push_back(operator_of(op));
    const std::vector<int> inputs = numbers_of(net_.inputs), outputs = numbers_of(net_.outputs);
    const auto tensors = b_.CreateVector(tensors_);
    const auto operators = b_.CreateVector(ops);
    const auto in = b_.CreateVector(inputs), out = b_.CreateVector(outputs);
    const auto name = b_.CreateString("main");
    const std::vector graphs{schema::CreateSubGraph(b_, tensors, in, out, operators, name)};
    const auto signature = signature_of(inputs, outputs);
    const auto codes = b_.CreateVector(codes_);
    const auto subgraphs = b_.CreateVector(graphs);
    const auto signatures = b_.CreateVector(std::vector{signature});
    const auto description = b_.CreateString("cytodet");
    const auto buffers = b_.CreateVector(buffers_);
    schema::FinishModelBuffer(b_, schema::CreateModel(b_, 3, codes, subgraphs, description, buffers, 0, 0, signatures));
    return {reinterpret_cast<const char*>(b_.GetBufferPointer()), b_.GetSize()};
  }

 private:
  uint32_t buffer_of(const Tensor& t) {
    b_.ForceVectorAlignment(t.bytes(), 1, kBufferAlignment);
    const auto data = b_.CreateVector(static_cast<const uint8_t*>(t.raw()), t.bytes());
    buffers_.push_back(schema::CreateBuffer(b_, data));
    return static_cast<uint32_t>(buffers_.size()) - 1;
  }

  int number_of(int tensor) {
    if (tensor < 0) return -1;
    if (const auto it = numbers_.find(tensor); it != numbers_.end()) return it->second;
    const NetTensor& t = net_.at(tensor);
    const uint32_t buffer = t.data ? buffer_of(*t.data) : 0;
    const auto shape = b_.CreateVector(std::vector<int32_t>(t.shape.begin(), t.shape.end()));
    const auto name = b_.CreateString(t.name);
    flatbuffers::Offset<schema::QuantizationParameters> quant = 0;
    if (!t.quant.scale.empty()) {
      const auto scale = b_.CreateVector(t.quant.scale);
      const auto zero = b_.CreateVector(t.quant.zero_point);
      quant = schema::CreateQuantizationParameters(b_, 0, 0, scale, zero, t.quant.axis);
    }
    tensors_.push_back(schema::CreateTensor(b_, shape, type_of(t.dtype), buffer, name, quant, false, 0, 0, true));
    return numbers_[tensor] = static_cast<int>(tensors_.size()) - 1;
  }
  std::vector<int> numbers_of(const std::vector<int>& tensors) {
    std::vector<int> numbers;
    for (int t : tensors) numbers.push_back(number_of(t));
    return numbers;
  }

  uint32_t code_of(const NetOp& op) {
    const auto [it, is_new] =
        code_numbers_.try_emplace({static_cast<int>(op.code), op.version}, static_cast<uint32_t>(codes_.size()));
    if (is_new) {
      const int old = std::min(static_cast<int>(op.code), 127);  // where readers of older files look
      codes_.push_back(schema::CreateOperatorCode(b_, static_cast<int8_t>(old), 0, op.version, op.code));
    }
    return it->second;
  }

  flatbuffers::Offset<schema::Operator> operator_of(const NetOp& op) {
    const auto in = b_.CreateVector(numbers_of(op.inputs)), out = b_.CreateVector(numbers_of(op.outputs));
    const uint32_t code = code_of(op);
    const flatbuffers::Offset<void> options = op.options ? op.options(b_) : flatbuffers::Offset<void>(0);
    return schema::CreateOperator(b_, code, in, out, op.options ? op.kind : schema::BuiltinOptions::NONE, options);
  }

  flatbuffers::Offset<schema::SignatureDef> signature_of(const std::vector<int>& inputs, const std::vector<int>& outputs) {
    const auto maps = [&](const std::vector<int>& tensors, const std::vector<int>& numbers) {
      std::vector<flatbuffers::Offset<schema::TensorMap>> all;
      for (size_t i = 0; i < tensors.size(); ++i)
        all.push_back(schema::CreateTensorMap(b_, b_.CreateString(net_.at(tensors[i]).name), static_cast<uint32_t>(numbers[i])));
      return b_.CreateVector(all);
    };
    const auto in = maps(net_.inputs, inputs), out = maps(net_.outputs, outputs);
    const auto key = b_.CreateString("serving_default");
    return schema::CreateSignatureDef(b_, in, out, key, 0);
  }

  const LiteNet& net_;
  flatbuffers::FlatBufferBuilder b_;
  std::vector<flatbuffers::Offset<schema::Buffer>> buffers_;
  std::vector<flatbuffers::Offset<schema::Tensor>> tensors_;
  std::vector<flatbuffers::Offset<schema::OperatorCode>> codes_;
  std::map<std::pair<int, int>, uint32_t> code_numbers_;
  std::map<int, int> numbers_;
};

}  // namespace

std::string encode(const LiteNet& net) { return LiteEncoder(net).bytes(); }

}  // namespace cytodet::graph::lite
