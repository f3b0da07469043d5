// From an element type known at run time to code for its C++ type.
#pragma once

#include "core/dtype.h"
#include "core/error.h"

namespace cytodet::core {

[[noreturn]] inline void unsupported(DType t) { throw Error("", "type " + name_of(t) + " is not supported here"); }

// f.template operator()<T>() for the element type; q types run as their plain integers.
template <class F>
void on_floats(DType t, F&& f) {
  switch (t) {
    case DType::f32:
      return f.template operator()<float>();
    case DType::f64:
      return f.template operator()<double>();
    case DType::f16:
      return f.template operator()<Half>();
    case DType::bf16:
      return f.template operator()<BFloat16>();
    default:
      unsupported(t);
  }
}
template <class F>
void on_integers(DType t, F&& f) {
  switch (t) {
    case DType::i8:
    case DType::qint8:
      return f.template operator()<int8_t>();
    case DType::i16:
    case DType::qint16:
      return f.template operator()<int16_t>();
    case DType::i32:
    case DType::qint32:
      return f.template operator()<int32_t>();
    case DType::i64:
      return f.template operator()<int64_t>();
    case DType::u8:
    case DType::quint8:
      return f.template operator()<uint8_t>();
    case DType::u16:
    case DType::quint16:
      return f.template operator()<uint16_t>();
    case DType::u32:
      return f.template operator()<uint32_t>();
    case DType::u64:
      return f.template operator()<uint64_t>();
    default:
      unsupported(t);
  }
}
template <class F>
void on_numeric(DType t, F&& f) {
  if (is_floating(t))
    on_floats(t, f);
  else
    on_integers(t, f);
}
template <class F>
void on_any(DType t, F&& f) {
  if (t == DType::boolean)
    f.template operator()<bool>();
  else
    on_numeric(t, f);
}

}  // namespace cytodet::core
