#include "api/tensor_lists.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "api/handles.h"

namespace cytodet::api {
namespace {

using core::DType, core::Shape, core::Tensor, core::UsageError;

constexpr int32_t kMaxRank = 8;
constexpr size_t kMaxTensors = 10000;

}  // namespace

void add_description(cytodet_tensors& to, const std::string& name, DType dtype, const Shape* shape) {
  cytodet_tensor t{};
  t.struct_size = sizeof t;
  t.name = to.names.emplace_back(name).c_str();
  t.dtype = static_cast<int32_t>(dtype);
  t.rank = shape ? static_cast<int32_t>(shape->size()) : -1;
  t.shape = to.shapes.emplace_back(shape ? *shape : Shape{}).data();
  to.all.push_back(t);
}

void add_values(cytodet_tensors& to, const std::string& name, Tensor values) {
  if (!core::size_of(values.dtype()))
    throw core::Error("output " + name, "is " + core::name_of(values.dtype()) + ", which cannot be given out here",
                      "fetch other outputs");
  add_description(to, name, values.dtype(), &values.shape());
  to.values.push_back(std::move(values));
  to.all.back().data = to.values.back().raw();
  to.all.back().size = to.values.back().bytes();
}

std::vector<cytodet_tensor> tensors_of(const cytodet_tensor* tensors, size_t count) {
  if (count == 0) return {};
  require(tensors, "feeds");
  if (count > kMaxTensors) throw UsageError("count", "is " + std::to_string(count) + ", more than 10000");
  constexpr size_t kFirst = offsetof(cytodet_tensor, size) + sizeof(size_t);  // of version 1
  const size_t size = tensors->struct_size;
  if (size < kFirst || size > 4096)
    throw UsageError("struct_size", "is " + std::to_string(size), "set it to sizeof(cytodet_tensor)");
  std::vector<cytodet_tensor> known(count);
  for (size_t i = 0; i < count; ++i)
    std::memcpy(&known[i], reinterpret_cast<const char*>(tensors) + i * size, std::min(size, sizeof known[i]));
  return known;
}

Tensor values_of(const cytodet_tensor& t) {
  require(t.name, "name");
  const std::string where = "input " + std::string(t.name);
  const auto dtype = static_cast<DType>(t.dtype);
  const size_t bytes = core::size_of(dtype);
  if (!bytes) throw UsageError(where, "is fed the type " + core::name_of(dtype), "feed numbers or bools");
  if (t.rank < 0 || t.rank > kMaxRank) throw UsageError(where, "is fed a rank of " + std::to_string(t.rank), "feed 0 to 8");
  if (t.rank > 0) require(t.shape, "shape");
  const Shape shape(t.shape, t.shape + t.rank);
  int64_t size = static_cast<int64_t>(bytes);
  for (const int64_t side : shape)
    if (side < 0 || __builtin_mul_overflow(size, side, &size))
      throw UsageError(where, "is fed the shape " + core::to_string(shape), "feed sizes of 0 or more that memory can hold");
  if (static_cast<uint64_t>(size) != t.size)
    throw UsageError(where, "is fed " + std::to_string(t.size) + " bytes for the shape " + core::to_string(shape),
                     "feed " + std::to_string(size));
  if (size > core::max_tensor_bytes()) throw UsageError(where, "is fed " + std::to_string(size) + " bytes, more than can be run");
  if (size > 0) require(t.data, "data");
  Tensor values(dtype, shape);
  if (size > 0) std::memcpy(values.raw(), t.data, static_cast<size_t>(size));
  return values;
}

}  // namespace cytodet::api

using namespace cytodet;

size_t cytodet_tensors_count(const cytodet_tensors* t) { return t ? t->all.size() : 0; }
const cytodet_tensor* cytodet_tensors_at(const cytodet_tensors* t, size_t index) {
  return index < cytodet_tensors_count(t) ? &t->all[index] : nullptr;
}
void cytodet_tensors_free(cytodet_tensors* t) { delete t; }
