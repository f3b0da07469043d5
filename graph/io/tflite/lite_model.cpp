#include "graph/io/tflite/lite_model.h"

#include <cstring>

#include "core/error.h"
#include "lite_model_generated.h"

namespace cytodet::graph::lite {
namespace {

namespace schema = cytodet::lite_schema;

constexpr int kMaxDepth = 64, kMaxTables = 2'000'000;
constexpr size_t kAlignment = 16;                  // of buffers within the file
constexpr size_t kMaxOps = 100'000, kMaxRank = 8;  // operators of all graphs together
// Tables may share names, lists and buffers: what is copied of them, and the data that tensors look at, is together at most this
// many times the file's size and kSmallTotal bytes.
constexpr int64_t kMaxShared = 16, kSmallTotal = int64_t{64} << 20;

const char* const kDamaged = "the file is damaged";

DType dtype_of_lite(schema::TensorType type) {
  switch (type) {
    case schema::TensorType::FLOAT32:
      return DType::f32;
    case schema::TensorType::FLOAT16:
      return DType::f16;
    case schema::TensorType::FLOAT64:
      return DType::f64;
    case schema::TensorType::INT4:
    case schema::TensorType::INT8:
      return DType::i8;
    case schema::TensorType::INT16:
      return DType::i16;
    case schema::TensorType::INT32:
      return DType::i32;
    case schema::TensorType::INT64:
      return DType::i64;
    case schema::TensorType::UINT8:
      return DType::u8;
    case schema::TensorType::UINT16:
      return DType::u16;
    case schema::TensorType::UINT32:
      return DType::u32;
    case schema::TensorType::UINT64:
      return DType::u64;
    case schema::TensorType::BOOL:
      return DType::boolean;
    case schema::TensorType::RESOURCE:
      return DType::resource;
    case schema::TensorType::STRING:
      return DType::string;
    default:
      return DType::invalid;
  }
}

class ModelReader {
 public:
  ModelReader(const schema::Model& model, std::string_view bytes)
      : model_(model), bytes_(bytes), left_(kMaxShared * static_cast<int64_t>(bytes.size()) + kSmallTotal) {}

  std::vector<LiteGraph> graphs() {
    if (model_.version() != 3)
      throw Error("", "is of version " + std::to_string(model_.version()) + " of the format", "version 3 is read");
    if (!model_.subgraphs() || model_.subgraphs()->size() == 0) throw Error("", "holds no graph", kDamaged);
    std::vector<LiteGraph> all;
    for (const schema::SubGraph* g : *model_.subgraphs()) all.push_back(graph_of(*g));
    return all;
  }

 private:
  void charge(size_t bytes) {
    if (static_cast<int64_t>(bytes) > left_)
      throw Error("", "is one of many of the same data, together far larger than the file", kDamaged);
    left_ -= static_cast<int64_t>(bytes);
  }

  template <class T, class V>
  std::vector<T> list_of(const V* vector) {
    if (!vector) return {};
    charge(vector->size() * sizeof(T));
    return {vector->begin(), vector->end()};
  }
  std::string text_of(const flatbuffers::String* s) {
    if (!s) return {};
    charge(s->size());
    return s->str();
  }

  // Empty: the file states none. Dimensions below `min` and too many of them are refused.
  std::optional<Shape> shape_of(const flatbuffers::Vector<int32_t>* dims, int64_t min) {
    if (!dims) return {};
    if (dims->size() > kMaxRank) throw Error("", "has " + std::to_string(dims->size()) + " dimensions", kDamaged);
    Shape shape = list_of<int64_t>(dims);
    for (int64_t d : shape)
      if (d < min) throw Error("", "has a shape of " + to_string(shape), kDamaged);
    return shape;
  }

  LiteQuant quant_of(const schema::QuantizationParameters* q, const Shape& shape) {
    LiteQuant quant;
    if (!q || !q->scale() || q->scale()->size() == 0) return quant;
    const size_t n = q->scale()->size(), zeros = q->zero_point() ? q->zero_point()->size() : 0;
    quant.axis = q->quantized_dimension();
    const bool fits = n == 1 || (quant.axis >= 0 && static_cast<size_t>(quant.axis) < shape.size() &&
                                 shape[static_cast<size_t>(quant.axis)] == static_cast<int64_t>(n));
    if (!fits || (zeros != 0 && zeros != n))
      throw Error(
          "",
          "has " + std::to_string(n) + " scales and " + std::to_string(zeros) + " zero points for the shape " + to_string(shape),
          kDamaged);
    quant.scale = list_of<float>(q->scale());
    if (zeros == 0) charge(n * sizeof(int64_t));
    quant.zero_point = zeros == 0 ? std::vector<int64_t>(n, 0) : list_of<int64_t>(q->zero_point());
    for (float s : quant.scale)
      if (!(s > 0) || !(s < 1e30f)) throw Error("", "has a scale of " + std::to_string(s), "the model was not calibrated");
    return quant;
  }

  static void check_zero_points(const LiteTensor& t) {
    if (!t.is_quantized()) return;
    const StoredRange range = stored_range(t);
    for (int64_t z : t.quant.zero_point)
      if (z < range.low || z > range.high)
        throw Error("",
                    "has a zero point of " + std::to_string(z) + ", outside of its values " + std::to_string(range.low) + " to " +
                        std::to_string(range.high),
                    kDamaged);
  }

  std::string_view data_of(uint32_t buffer) const {
    if (!model_.buffers() || buffer >= model_.buffers()->size()) {
      if (buffer == 0) return {};
      throw Error("", "is of buffer " + std::to_string(buffer) + ", which is not there", kDamaged);
    }
    const schema::Buffer& b = *model_.buffers()->Get(buffer);
    if (b.offset() > 1) {  // behind the tables, as in files of more than 2 GB
      if (b.offset() > bytes_.size() || b.size() > bytes_.size() - b.offset())
        throw Error("", "has data beyond the end of the file", kDamaged);
      return bytes_.substr(b.offset(), b.size());
    }
    if (!b.data()) return {};
    return {reinterpret_cast<const char*>(b.data()->data()), b.data()->size()};
  }

  LiteTensor tensor_of(const schema::Tensor& t) {
    LiteTensor tensor;
    if (t.name()) tensor.name = t.name()->str();
    try {
      charge(sizeof(LiteTensor) + tensor.name.size());
      tensor.dtype = dtype_of_lite(t.type());
      tensor.is_int4 = t.type() == schema::TensorType::INT4;
      tensor.is_sparse = t.sparsity() != nullptr;
      tensor.shape = shape_of(t.shape(), 0).value_or(Shape());
      tensor.signature = shape_of(t.shape_signature(), -1);
      if (tensor.signature && tensor.signature->size() != tensor.shape.size()) tensor.signature.reset();
      tensor.data = data_of(t.buffer());
      tensor.quant = quant_of(t.quantization(), tensor.shape);
      check_zero_points(tensor);
      check_data(tensor);
    } catch (const Error& e) {
      throw e.within("tensor " + tensor.name);
    }
    return tensor;
  }

  void check_data(const LiteTensor& t) {
    if (t.data.empty() || t.is_sparse) return;
    const int64_t n = elements(t.shape), size = static_cast<int64_t>(size_of(t.dtype));
    const int64_t wanted = t.is_int4 ? (n + 1) / 2 : n > (int64_t{1} << 50) ? -1 : n * size;
    if (size != 0 && wanted != static_cast<int64_t>(t.data.size()))
      throw Error("",
                  "has " + std::to_string(t.data.size()) + " bytes for " + to_string(t.shape) + " values of " + name_of(t.dtype),
                  kDamaged);
    charge(t.data.size());
  }

  std::vector<int> indices_of(const flatbuffers::Vector<int32_t>* list, size_t tensors, int min) {
    std::vector<int> indices = list_of<int>(list);
    for (int i : indices)
      if (i < min || i >= static_cast<int>(tensors))
        throw Error("", "names tensor " + std::to_string(i) + " of " + std::to_string(tensors), kDamaged);
    return indices;
  }

  LiteOp op_of(const schema::Operator& o, size_t tensors) {
    LiteOp op;
    charge(sizeof(LiteOp));
    if (!model_.operator_codes() || o.opcode_index() >= model_.operator_codes()->size())
      throw Error("", "names operator code " + std::to_string(o.opcode_index()) + ", which is not there", kDamaged);
    const schema::OperatorCode& code = *model_.operator_codes()->Get(o.opcode_index());
    op.code = std::max<int>(code.deprecated_builtin_code(), static_cast<int>(code.builtin_code()));
    op.custom = text_of(code.custom_code());
    op.raw = &o;
    try {
      op.inputs = indices_of(o.inputs(), tensors, -1);
      op.outputs = indices_of(o.outputs(), tensors, 0);
    } catch (const Error& e) {
      throw e.within("operator " + op.name());
    }
    return op;
  }

  LiteGraph graph_of(const schema::SubGraph& g) {
    LiteGraph graph;
    charge(sizeof(LiteGraph));
    if (g.tensors())
      for (const schema::Tensor* t : *g.tensors()) graph.tensors.push_back(tensor_of(*t));
    const size_t n = graph.tensors.size();
    graph.inputs = indices_of(g.inputs(), n, 0);
    graph.outputs = indices_of(g.outputs(), n, 0);
    if (g.operators()) {
      if (g.operators()->size() > kMaxOps - ops_)
        throw Error("", "holds more than " + std::to_string(kMaxOps) + " operators", "models of fewer operators are read");
      ops_ += g.operators()->size();
      for (const schema::Operator* o : *g.operators()) graph.ops.push_back(op_of(*o, n));
    }
    return graph;
  }

  const schema::Model& model_;
  const std::string_view bytes_;
  int64_t left_;    // bytes that may still be copied or looked at
  size_t ops_ = 0;  // of the graphs so far
};

std::shared_ptr<const char> aligned(std::string_view bytes) {
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment == 0) return {std::shared_ptr<const char>(), bytes.data()};
  const std::shared_ptr<void> copy = core::aligned_buffer(bytes.size());
  std::memcpy(copy.get(), bytes.data(), bytes.size());
  return {copy, static_cast<const char*>(copy.get())};
}

}  // namespace

Tensor LiteTensor::stored() const {
  if (data.empty() && elements(shape) != 0) throw Error("tensor " + name, "has no data", kDamaged);
  if (is_sparse) throw Error("tensor " + name, "is sparse", "convert the model with dense weights");
  if (size_of(dtype) == 0) throw Error("tensor " + name, "is of a type that is not read");
  Tensor t(dtype, shape);
  if (!is_int4) {
    if (!data.empty()) std::memcpy(t.raw(), data.data(), data.size());
    return t;
  }
  int8_t* to = t.data<int8_t>();
  for (int64_t i = 0; i < t.size(); ++i) {  // the even ones in the low half of a byte
    const auto byte = static_cast<unsigned char>(data[static_cast<size_t>(i / 2)]);
    const int nibble = i % 2 ? byte >> 4 : byte & 15;
    to[i] = static_cast<int8_t>(nibble < 8 ? nibble : nibble - 16);
  }
  return t;
}

StoredRange stored_range(const LiteTensor& t) {
  if (t.is_int4) return {-8, 7};
  if (t.dtype == DType::i8) return {-128, 127};
  if (t.dtype == DType::i16) return {-32768, 32767};
  return {0, 255};
}

std::string LiteOp::name() const {
  if (code == static_cast<int>(schema::BuiltinOperator::CUSTOM)) return custom.empty() ? "CUSTOM" : custom;
  const char* known = schema::EnumNameBuiltinOperator(static_cast<schema::BuiltinOperator>(code));
  return known && *known ? known : "operator " + std::to_string(code);
}

LiteModel parse_lite(std::string_view bytes, const std::string& where) {
  if (bytes.size() < 8 || bytes.substr(4, 4) != "TFL3")
    throw Error(where, bytes.empty() ? "is empty" : "is no TensorFlow Lite model", "name a TensorFlow Lite model (.tflite)");
  LiteModel model{aligned(bytes), static_cast<int64_t>(bytes.size()), {}};
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(model.bytes.get()), bytes.size(), kMaxDepth, kMaxTables);
  if (!schema::VerifyModelBuffer(verifier))
    throw Error(where, "is a TensorFlow Lite model whose tables do not fit the file", kDamaged);
  try {
    model.graphs = ModelReader(*schema::GetModel(model.bytes.get()), {model.bytes.get(), bytes.size()}).graphs();
  } catch (const Error& e) {
    throw e.within(where);
  }
  return model;
}

}  // namespace cytodet::graph::lite
