// Numbers as text: the shortest decimal that reads back as the same value, as std::to_chars gives it.
#pragma once

#include <charconv>
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
// The double that is written as the shortest decimal of v, for JSON writers that know doubles only; v itself if it is not finite.
inline double shortest_double(float v) {
  const std::string digits = shortest(v);
  double d = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), d);
  return static_cast<float>(d) == v ? d : static_cast<double>(v);
}

}  // namespace cytodet::core
