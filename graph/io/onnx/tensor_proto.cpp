#include "graph/io/onnx/tensor_proto.h"

#include <array>
#include <charconv>
#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "onnx_model.pb.h"

namespace cytodet::graph::onnx {
namespace {

namespace fs = std::filesystem;

struct TypeEntry {
  int number;
  DType dtype;
  const char* name;
};
constexpr TypeEntry kTypes[] = {
    {1, DType::f32, "float"},
    {2, DType::u8, "uint8"},
    {3, DType::i8, "int8"},
    {4, DType::u16, "uint16"},
    {5, DType::i16, "int16"},
    {6, DType::i32, "int32"},
    {7, DType::i64, "int64"},
    {8, DType::string, "string"},
    {9, DType::boolean, "bool"},
    {10, DType::f16, "float16"},
    {11, DType::f64, "double"},
    {12, DType::u32, "uint32"},
    {13, DType::u64, "uint64"},
    {14, DType::invalid, "complex64"},
    {15, DType::invalid, "complex128"},
    {16, DType::bf16, "bfloat16"},
    {17, DType::invalid, "float8e4m3fn"},
    {18, DType::invalid, "float8e4m3fnuz"},
    {19, DType::invalid, "float8e5m2"},
    {20, DType::invalid, "float8e5m2fnuz"},
    {21, DType::invalid, "uint4"},
    {22, DType::invalid, "int4"},
    {23, DType::invalid, "float4e2m1"},
};

const TypeEntry* type_entry(int number) {
  for (const TypeEntry& entry : kTypes)
    if (entry.number == number) return &entry;
  return nullptr;
}

template <class T, class List, class Convert>
void put_values(Tensor& t, const List& values, Convert convert) {
  if (values.size() != t.size())
    throw Error("", "holds " + std::to_string(values.size()) + " values for shape " + to_string(t.shape()),
                "the file is damaged");
  T* out = t.data<T>();
  for (int i = 0; i < values.size(); ++i) out[i] = convert(values[i]);
}
template <class T, class List>
void put_cast(Tensor& t, const List& values) {
  put_values<T>(t, values, [](auto v) { return static_cast<T>(v); });
}
template <class T, class List>
void put_bits(Tensor& t, const List& values) {
  put_values<T>(t, values, [](auto v) {
    T x;
    x.bits = static_cast<uint16_t>(v);
    return x;
  });
}

void put_listed(Tensor& t, const onnx_proto::TensorProto& m) {
  switch (t.dtype()) {
    case DType::f32:
      return put_cast<float>(t, m.float_data());
    case DType::f64:
      return put_cast<double>(t, m.double_data());
    case DType::i64:
      return put_cast<int64_t>(t, m.int64_data());
    case DType::u64:
      return put_cast<uint64_t>(t, m.uint64_data());
    case DType::u32:
      return put_cast<uint32_t>(t, m.uint64_data());
    case DType::i32:
      return put_cast<int32_t>(t, m.int32_data());
    case DType::u8:
      return put_cast<uint8_t>(t, m.int32_data());
    case DType::i8:
      return put_cast<int8_t>(t, m.int32_data());
    case DType::u16:
      return put_cast<uint16_t>(t, m.int32_data());
    case DType::i16:
      return put_cast<int16_t>(t, m.int32_data());
    case DType::boolean:
      return put_cast<bool>(t, m.int32_data());
    case DType::f16:
      return put_bits<Half>(t, m.int32_data());
    case DType::bf16:
      return put_bits<BFloat16>(t, m.int32_data());
    default:
      throw Error("", "is of a type that cannot be held");
  }
}

int64_t listed_values(const onnx_proto::TensorProto& m) {
  return std::max<int64_t>({m.float_data_size(), m.int32_data_size(), m.int64_data_size(), m.double_data_size(),
                            m.uint64_data_size(), m.string_data_size()});
}

int64_t number_in(const std::string& text, const std::string& key) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    throw Error("", "external data has " + key + " \"" + text + "\"", "it must be a number of bytes");
  return value;
}

// bool's bytes of a file are 0 or 1; other values would be none of C++'s.
void copy_bytes(Tensor& t, std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(t.raw(), bytes.data(), bytes.size());
  if (t.dtype() != DType::boolean) return;
  auto* values = static_cast<unsigned char*>(t.raw());
  for (size_t i = 0; i < bytes.size(); ++i) values[i] = values[i] != 0;
}

std::string_view external_bytes(const onnx_proto::TensorProto& m, ExternalData& external) {
  std::string location;
  int64_t offset = 0, length = -1;
  for (const auto& entry : m.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = number_in(entry.value(), "offset");
    if (entry.key() == "length") length = number_in(entry.value(), "length");
  }
  return external.bytes(location, offset, length);
}

}  // namespace

DType dtype_of_onnx(int data_type) {
  const TypeEntry* entry = type_entry(data_type);
  return entry ? entry->dtype : DType::invalid;
}
int onnx_type_of(DType dtype) {
  for (const TypeEntry& entry : kTypes)
    if (entry.dtype == dtype && dtype != DType::invalid) return entry.number;
  return 0;
}
std::string name_of_onnx_type(int data_type) {
  const TypeEntry* entry = type_entry(data_type);
  return entry ? entry->name : "type " + std::to_string(data_type);
}

std::string_view ExternalData::bytes(const std::string& location, int64_t offset, int64_t length) {
  const fs::path named(location);
  if (location.empty() || location.find('\0') != std::string::npos || named.is_absolute())
    throw Error("", "external data lies in \"" + location + "\"", "only files below the model's own folder are read");
  auto it = files_.find(location);
  if (it == files_.end()) {
    std::error_code error;
    const fs::path root = fs::canonical(folder_.empty() ? "." : folder_, error);
    const fs::path file = error ? fs::path() : fs::weakly_canonical(root / named, error);
    const fs::path inside = file.lexically_relative(root);
    if (error || inside.empty() || *inside.begin() == ".." || *inside.begin() == ".")
      throw Error("", "external data lies in \"" + location + "\", outside the model's folder",
                  "only files below the model's own folder are read: put it there, and name it so");
    it = files_.emplace(location, read_file(file, int64_t{64} << 30)).first;
  }
  const int64_t size = static_cast<int64_t>(it->second.size());
  if (length < 0) length = size - offset;
  if (offset > size || length < 0 || length > size - offset)
    throw Error("",
                "external data of " + std::to_string(length) + " bytes at byte " + std::to_string(offset) + " of \"" + location +
                    "\", which has " + std::to_string(size),
                "the file is cut off or of another model");
  return std::string_view(it->second).substr(static_cast<size_t>(offset), static_cast<size_t>(length));
}

Tensor decode_onnx_tensor(const onnx_proto::TensorProto& m, ExternalData& external) {
  const DType dtype = dtype_of_onnx(m.data_type());
  if (dtype == DType::invalid)
    throw Error("", "is of type " + name_of_onnx_type(m.data_type()), "tensors of this type are not read");
  const Shape shape(m.dims().begin(), m.dims().end());
  const int64_t n = elements(shape);
  const bool outside = m.data_location() == 1;
  if (dtype == DType::string) {
    if (outside || n != m.string_data_size())
      throw Error("", "holds " + std::to_string(m.string_data_size()) + " texts for shape " + to_string(shape));
    Tensor t(dtype, shape);
    for (int64_t i = 0; i < n; ++i) t.strings()[static_cast<size_t>(i)] = m.string_data(static_cast<int>(i));
    return t;
  }
  if (outside || !m.raw_data().empty()) {
    const std::string_view bytes = outside ? external_bytes(m, external) : std::string_view(m.raw_data());
    if (n > (int64_t{1} << 40) || n * static_cast<int64_t>(size_of(dtype)) != static_cast<int64_t>(bytes.size()))
      throw Error(
          "",
          "of shape " + to_string(shape) + " and type " + name_of(dtype) + " holds " + std::to_string(bytes.size()) + " bytes",
          "the file is damaged");
    Tensor t(dtype, shape);
    copy_bytes(t, bytes);
    return t;
  }
  if (listed_values(m) != n)
    throw Error("", "holds " + std::to_string(listed_values(m)) + " values for shape " + to_string(shape), "the file is damaged");
  Tensor t(dtype, shape);
  put_listed(t, m);
  return t;
}

}  // namespace cytodet::graph::onnx
