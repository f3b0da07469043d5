// Numbers as text: the shortest decimal that reads back as the same value, as std::to_chars gives it.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>

#include "core/namespaces.h"

namespace cytodet::core {

template <class T>
void append_shortest(std::string& text, T v) {
  char digits[48];
  text.append(digits, std::to_chars(digits, digits + sizeof digits, v).ptr);
}
template <class T>
std::string shortest(T v) {
  std::string text;
  append_shortest(text, v);
  return text;
}
// The text of v in TensorFlow's form: with the digits that every number of its type keeps (6 of float, 15 of double) where they
// read back as v, else with those that distinguish all (9, 17).
template <class T>
std::string tensorflow_text(T v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  char text[40];
  T back = 0;
  std::snprintf(text, sizeof text, "%.*g", std::numeric_limits<T>::digits10, static_cast<double>(v));
  std::from_chars(text, text + std::strlen(text), back);
  if (back != v) std::snprintf(text, sizeof text, "%.*g", std::numeric_limits<T>::max_digits10, static_cast<double>(v));
  return text;
}
// The double that is written as the shortest decimal of v, for JSON writers that know doubles only; v itself if it is not finite.
inline double shortest_double(float v) {
  const std::string digits = shortest(v);
  double d = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), d);
  return static_cast<float>(d) == v ? d : static_cast<double>(v);
}

}  // namespace cytodet::core
