#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <cstring>

#include "core/error.h"
#include "graph/io/tensorflow/proto.h"

namespace cytodet::graph {
namespace {

// A few bytes may claim any shape: a constant that repeats its last value may not grow beyond this.
constexpr int64_t kMaxRepeatedBytes = int64_t{512} << 20;

template <class T, class List, class Convert>
void fill(Tensor& t, const List& values, Convert convert) {
  T* out = t.data<T>();
  int64_t n = t.size();
  int64_t given = values.size();
  if (given > n) throw Error("", std::to_string(given) + " values for shape " + to_string(t.shape()));
  for (int64_t i = 0; i < given; ++i) out[i] = convert(values[static_cast<int>(i)]);
  for (int64_t i = given; i < n && given > 0; ++i) out[i] = out[given - 1];
}

template <class T, class List>
void fill_cast(Tensor& t, const List& values) {
  fill<T>(t, values, [](auto v) { return static_cast<T>(v); });
}

template <class T, class List>
void fill_bits(Tensor& t, const List& values) {
  fill<T>(t, values, [](auto v) {
    T x;
    x.bits = static_cast<uint16_t>(v);
    return x;
  });
}

void fill_values(Tensor& t, const proto::TensorProto& m) {
  switch (t.dtype()) {
    case DType::f32:
      return fill_cast<float>(t, m.float_val());
    case DType::f64:
      return fill_cast<double>(t, m.double_val());
    case DType::i32:
    case DType::qint32:
      return fill_cast<int32_t>(t, m.int_val());
    case DType::u8:
    case DType::quint8:
      return fill_cast<uint8_t>(t, m.int_val());
    case DType::i8:
    case DType::qint8:
      return fill_cast<int8_t>(t, m.int_val());
    case DType::i16:
    case DType::qint16:
      return fill_cast<int16_t>(t, m.int_val());
    case DType::u16:
    case DType::quint16:
      return fill_cast<uint16_t>(t, m.int_val());
    case DType::i64:
      return fill_cast<int64_t>(t, m.int64_val());
    case DType::boolean:
      return fill_cast<bool>(t, m.bool_val());
    case DType::u32:
      return fill_cast<uint32_t>(t, m.uint32_val());
    case DType::u64:
      return fill_cast<uint64_t>(t, m.uint64_val());
    case DType::f16:
      return fill_bits<Half>(t, m.half_val());
    case DType::bf16:
      return fill_bits<BFloat16>(t, m.half_val());
    default:
      throw Error("", "tensors of type " + name_of(t.dtype()) + " cannot be held");
  }
}

bool held(DType t) { return t == DType::string || (size_of(t) > 0 && t != DType::c64 && t != DType::c128); }

Shape dims_of(const proto::TensorShapeProto& m) {
  Shape dims;
  for (const auto& d : m.dim()) dims.push_back(d.size());
  return dims;
}

ShapeAttr decode_shape(const proto::TensorShapeProto& m) { return {!m.unknown_rank(), dims_of(m)}; }

void encode_shape(const ShapeAttr& shape, proto::TensorShapeProto& m) {
  m.set_unknown_rank(!shape.known_rank);
  for (int64_t d : shape.dims) m.add_dim()->set_size(d);
}

std::string serialize(const google::protobuf::MessageLite& m) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    m.SerializeToCodedStream(&coded);
  }
  return bytes;
}

void encode_tensor(const Tensor& t, proto::TensorProto& m) {
  m.set_dtype(static_cast<proto::DataType>(t.dtype()));
  m.mutable_tensor_shape();
  for (int64_t d : t.shape()) m.mutable_tensor_shape()->add_dim()->set_size(d);
  if (t.dtype() == DType::string)
    for (const std::string& s : t.strings()) m.add_string_val(s);
  else
    m.set_tensor_content(t.raw(), t.bytes());
}

}  // namespace

Tensor decode_tensor(const proto::TensorProto& m) {
  DType dtype = static_cast<DType>(m.dtype());
  Shape shape = dims_of(m.tensor_shape());
  if (m.tensor_shape().unknown_rank()) throw Error("", "constant of unknown rank");
  int64_t n = elements(shape);
  const std::string& content = m.tensor_content();
  if (dtype == DType::string) {
    if (n > m.string_val_size() && n > 1 << 20)
      throw Error(
          "", "string constant of shape " + to_string(shape) + " holds only " + std::to_string(m.string_val_size()) + " values");
    Tensor t(dtype, shape);
    for (int64_t i = 0; i < n && m.string_val_size() > 0; ++i)
      t.strings()[static_cast<size_t>(i)] = m.string_val(static_cast<int>(std::min<int64_t>(i, m.string_val_size() - 1)));
    return t;
  }
  int64_t item = static_cast<int64_t>(size_of(dtype));
  if (!content.empty()) {
    if (n > (int64_t{1} << 40) || n * item != static_cast<int64_t>(content.size()))
      throw Error("",
                  "constant of shape " + to_string(shape) + " and type " + name_of(dtype) + " holds " +
                      std::to_string(content.size()) + " bytes",
                  "the file is damaged");
    Tensor t(dtype, shape);
    std::memcpy(t.raw(), content.data(), content.size());
    return t;
  }
  if (n > kMaxRepeatedBytes / item)
    throw Error(
        "", "constant of shape " + to_string(shape) + " is over the limit of " + std::to_string(kMaxRepeatedBytes) + " bytes");
  Tensor t(dtype, shape);
  fill_values(t, m);
  return t;
}

AttrMap decode_attrs(const google::protobuf::Map<std::string, proto::AttrValue>& attrs) {
  AttrMap map;
  for (const auto& [key, value] : attrs) {
    try {
      map.emplace(key, decode_attr(value));
    } catch (const Error& e) {
      throw e.within("attribute " + key);
    }
  }
  return map;
}

Attr decode_attr(const proto::AttrValue& m) {
  auto wire = std::make_shared<const std::string>(serialize(m));
  AttrValue value;
  switch (m.value_case()) {
    case proto::AttrValue::kS:
      value = m.s();
      break;
    case proto::AttrValue::kI:
      value = static_cast<int64_t>(m.i());
      break;
    case proto::AttrValue::kF:
      value = m.f();
      break;
    case proto::AttrValue::kB:
      value = m.b();
      break;
    case proto::AttrValue::kType:
      value = static_cast<DType>(m.type());
      break;
    case proto::AttrValue::kShape:
      value = decode_shape(m.shape());
      break;
    case proto::AttrValue::kTensor:
      if (held(static_cast<DType>(m.tensor().dtype()))) value = decode_tensor(m.tensor());
      break;
    case proto::AttrValue::kFunc:
      value = FuncAttr{m.func().name(), std::make_shared<const AttrMap>(decode_attrs(m.func().attr()))};
      break;
    case proto::AttrValue::kList: {
      const auto& l = m.list();
      if (l.tensor_size() || l.func_size()) break;
      AttrList list;
      list.strings.assign(l.s().begin(), l.s().end());
      list.ints.assign(l.i().begin(), l.i().end());
      list.floats.assign(l.f().begin(), l.f().end());
      list.bools.assign(l.b().begin(), l.b().end());
      for (int t : l.type()) list.types.push_back(static_cast<DType>(t));
      for (const auto& s : l.shape()) list.shapes.push_back(decode_shape(s));
      value = std::move(list);
      break;
    }
    default:
      break;
  }
  return Attr(std::move(value), std::move(wire));
}

namespace {
struct Encoder {
  proto::AttrValue& m;
  void operator()(std::monostate) const {}
  void operator()(const std::string& s) const { m.set_s(s); }
  void operator()(int64_t i) const { m.set_i(i); }
  void operator()(float f) const { m.set_f(f); }
  void operator()(bool b) const { m.set_b(b); }
  void operator()(DType t) const { m.set_type(static_cast<proto::DataType>(t)); }
  void operator()(const ShapeAttr& s) const { encode_shape(s, *m.mutable_shape()); }
  void operator()(const Tensor& t) const { encode_tensor(t, *m.mutable_tensor()); }
  void operator()(const FuncAttr& f) const {
    m.mutable_func()->set_name(f.name);
    if (f.attrs)
      for (const auto& [key, attr] : *f.attrs) encode_attr(attr, (*m.mutable_func()->mutable_attr())[key]);
  }
  void operator()(const AttrList& list) const {
    auto& l = *m.mutable_list();
    for (const auto& s : list.strings) l.add_s(s);
    for (int64_t i : list.ints) l.add_i(i);
    for (float f : list.floats) l.add_f(f);
    for (bool b : list.bools) l.add_b(b);
    for (DType t : list.types) l.add_type(static_cast<proto::DataType>(t));
    for (const auto& s : list.shapes) encode_shape(s, *l.add_shape());
  }
};
}  // namespace

void encode_attr(const Attr& attr, proto::AttrValue& m) {
  if (attr.wire()) {
    if (!m.ParseFromString(*attr.wire())) throw Error("", "an attribute could not be encoded again");
  } else {
    std::visit(Encoder{m}, attr.value());
  }
}

}  // namespace cytodet::graph
