#include "core/dtype.h"

#include <array>

namespace cytodet::core {
namespace {

struct DTypeEntry {
  DType type;
  const char* name;
  size_t size;
};

constexpr DTypeEntry kDTypes[] = {
    {DType::f32, "float32", 4},     {DType::f64, "float64", 8},       {DType::i32, "int32", 4},
    {DType::u8, "uint8", 1},        {DType::i16, "int16", 2},         {DType::i8, "int8", 1},
    {DType::string, "string", 0},   {DType::c64, "complex64", 8},     {DType::i64, "int64", 8},
    {DType::boolean, "bool", 1},    {DType::qint8, "qint8", 1},       {DType::quint8, "quint8", 1},
    {DType::qint32, "qint32", 4},   {DType::bf16, "bfloat16", 2},     {DType::qint16, "qint16", 2},
    {DType::quint16, "quint16", 2}, {DType::u16, "uint16", 2},        {DType::c128, "complex128", 16},
    {DType::f16, "float16", 2},     {DType::resource, "resource", 0}, {DType::variant, "variant", 0},
    {DType::u32, "uint32", 4},      {DType::u64, "uint64", 8},
};

const DTypeEntry* find(DType t) {
  for (const DTypeEntry& entry : kDTypes)
    if (entry.type == t) return &entry;
  return nullptr;
}

}  // namespace

size_t size_of(DType t) {
  const DTypeEntry* entry = find(t);
  return entry ? entry->size : 0;
}

std::string name_of(DType t) {
  const DTypeEntry* entry = find(t);
  return entry ? entry->name : "dtype(" + std::to_string(static_cast<int>(t)) + ")";
}

DType dtype_from_name(std::string_view name) {
  for (const DTypeEntry& entry : kDTypes)
    if (name == entry.name) return entry.type;
  if (name == "float") return DType::f32;
  if (name == "double") return DType::f64;
  if (name == "half") return DType::f16;
  return DType::invalid;
}

bool is_floating(DType t) { return t == DType::f16 || t == DType::bf16 || t == DType::f32 || t == DType::f64; }

bool is_integer(DType t) {
  switch (t) {
    case DType::i8:
    case DType::i16:
    case DType::i32:
    case DType::i64:
    case DType::u8:
    case DType::u16:
    case DType::u32:
    case DType::u64:
      return true;
    default:
      return false;
  }
}

Half::Half(float v) {
  uint32_t f = std::bit_cast<uint32_t>(v);
  uint32_t sign = (f >> 16) & 0x8000u;
  uint32_t mag = f & 0x7fffffffu;
  if (mag > 0x7f800000u) {
    bits = static_cast<uint16_t>(sign | 0x7e00u | ((mag >> 13) & 0x3ffu));
  } else if (mag >= 0x47800000u) {
    bits = static_cast<uint16_t>(sign | 0x7c00u);
  } else if (mag >= 0x38800000u) {
    uint32_t r = mag - 0x38000000u;
    r += 0xfffu + ((r >> 13) & 1);
    bits = static_cast<uint16_t>(sign | (r >> 13));
  } else {
    float scaled = std::bit_cast<float>(mag) + 0.5f;
    bits = static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(scaled) - 0x3f000000u));
  }
}

Half::operator float() const {
  uint32_t sign = (bits & 0x8000u) << 16;
  uint32_t exp = (bits >> 10) & 0x1fu;
  uint32_t man = bits & 0x3ffu;
  if (exp == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (man << 13));
  if (exp != 0) return std::bit_cast<float>(sign | ((exp + 112) << 23) | (man << 13));
  float v = static_cast<float>(man) * 0x1p-24f;
  return sign ? -v : v;
}

}  // namespace cytodet::core
