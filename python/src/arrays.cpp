#include "python/src/arrays.h"

#include <nanobind/stl/string.h>

#include <cstring>

namespace cytodet::python {
namespace {

// As numpy has the type.
nb::dlpack::dtype numpy_type(int32_t dtype) {
  using Code = nb::dlpack::dtype_code;
  const auto type = [](Code code, int bits) {
    return nb::dlpack::dtype{static_cast<uint8_t>(code), static_cast<uint8_t>(bits), 1};
  };
  switch (dtype) {
    case CYTODET_FLOAT64:
      return type(Code::Float, 64);
    case CYTODET_FLOAT16:
      return type(Code::Float, 16);
    case CYTODET_INT64:
      return type(Code::Int, 64);
    case CYTODET_INT32:
    case CYTODET_QINT32:
      return type(Code::Int, 32);
    case CYTODET_INT16:
    case CYTODET_QINT16:
      return type(Code::Int, 16);
    case CYTODET_INT8:
    case CYTODET_QINT8:
      return type(Code::Int, 8);
    case CYTODET_UINT64:
      return type(Code::UInt, 64);
    case CYTODET_UINT32:
      return type(Code::UInt, 32);
    case CYTODET_UINT16:
    case CYTODET_QUINT16:
    case CYTODET_BFLOAT16:
      return type(Code::UInt, 16);
    case CYTODET_UINT8:
    case CYTODET_QUINT8:
      return type(Code::UInt, 8);
    case CYTODET_BOOL:
      return type(Code::Bool, 8);
    default:
      return type(Code::Float, 32);
  }
}

}  // namespace

cytodet_tensor Feed::tensor() const {
  cytodet_tensor t{};
  t.struct_size = sizeof t;
  t.name = name.c_str();
  t.dtype = dtype;
  t.rank = static_cast<int32_t>(shape.size());
  t.shape = shape.data();
  t.data = array.data();
  t.size = array.nbytes();
  return t;
}

Feed feed_of(const nb::handle& given) {
  const auto t = nb::cast<nb::tuple>(given);
  Feed f;
  f.name = nb::cast<std::string>(t[0]);
  f.dtype = nb::cast<int32_t>(t[1]);
  f.array = nb::cast<nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>>(t[2]);
  for (size_t i = 0; i < f.array.ndim(); ++i) f.shape.push_back(static_cast<int64_t>(f.array.shape(i)));
  return f;
}

nb::list list_of_tensors(cytodet_tensors* owned) {
  const std::shared_ptr<cytodet_tensors> tensors(owned, cytodet_tensors_free);
  nb::list all;
  for (size_t i = 0; i < cytodet_tensors_count(owned); ++i) {
    const cytodet_tensor* t = cytodet_tensors_at(owned, i);
    const std::vector<size_t> shape(t->shape, t->shape + t->rank);
    // A copy each, so that an output that is kept does not keep the others.
    auto values = std::make_unique<char[]>(t->size ? t->size : 1);
    if (t->size) std::memcpy(values.get(), t->data, t->size);
    char* data = values.release();
    const nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<char*>(p); });
    all.append(
        nb::make_tuple(t->name, t->dtype,
                       nb::cast(nb::ndarray<nb::numpy>(data, shape.size(), shape.data(), owner, nullptr, numpy_type(t->dtype)))));
  }
  return all;
}

nb::tuple description_of(const cytodet_tensor& t) {
  if (t.rank < 0) return nb::make_tuple(t.name, t.dtype, nb::none());
  nb::list shape;
  for (int32_t i = 0; i < t.rank; ++i) shape.append(t.shape[i]);
  return nb::make_tuple(t.name, t.dtype, shape);
}

}  // namespace cytodet::python
