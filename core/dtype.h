// Element types. Values are TensorFlow's DataType numbers, so that a type we do not know is carried through.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

enum class DType : int32_t {
  invalid = 0,
  f32 = 1,
  f64 = 2,
  i32 = 3,
  u8 = 4,
  i16 = 5,
  i8 = 6,
  string = 7,
  c64 = 8,
  i64 = 9,
  boolean = 10,
  qint8 = 11,
  quint8 = 12,
  qint32 = 13,
  bf16 = 14,
  qint16 = 15,
  quint16 = 16,
  u16 = 17,
  c128 = 18,
  f16 = 19,
  resource = 20,
  variant = 21,
  u32 = 22,
  u64 = 23,
};

// Bytes of one element; 0 for string, resource, variant and unknown types.
size_t size_of(DType t);

// TensorFlow's lower-case name ("float32", "int8", "quint8", ...); "dtype(<n>)" for an unknown number.
std::string name_of(DType t);

// Inverse of name_of; also "float", "double", "half", "bfloat16". DType::invalid when the name is unknown.
DType dtype_from_name(std::string_view name);

bool is_floating(DType t);  // f16, bf16, f32, f64
bool is_integer(DType t);   // i8..i64, u8..u64 (not bool, not q types)

// IEEE binary16 and bfloat16 storage. Conversions round to nearest even.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  explicit Half(float v);
  explicit operator float() const;
};
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float v) {
    uint32_t u = std::bit_cast<uint32_t>(v);
    bits = (u & 0x7fffffffu) > 0x7f800000u ? static_cast<uint16_t>((u >> 16) | 0x40)
                                           : static_cast<uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

template <class T>
struct DTypeOf;
#define CYTODET_DTYPE(T, D)                  \
  template <>                                \
  struct DTypeOf<T> {                        \
    static constexpr DType value = DType::D; \
  }
CYTODET_DTYPE(float, f32);
CYTODET_DTYPE(double, f64);
CYTODET_DTYPE(int32_t, i32);
CYTODET_DTYPE(uint8_t, u8);
CYTODET_DTYPE(int16_t, i16);
CYTODET_DTYPE(int8_t, i8);
CYTODET_DTYPE(int64_t, i64);
CYTODET_DTYPE(bool, boolean);
CYTODET_DTYPE(uint16_t, u16);
CYTODET_DTYPE(uint32_t, u32);
CYTODET_DTYPE(uint64_t, u64);
CYTODET_DTYPE(Half, f16);
CYTODET_DTYPE(BFloat16, bf16);
#undef CYTODET_DTYPE

template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace cytodet::core
