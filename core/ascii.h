// Letters of ASCII alone, whatever the locale: extensions, keywords and units of file formats.
#pragma once

#include <string>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

constexpr char lower_ascii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline std::string lower_ascii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = lower_ascii(c);
  return lower;
}

}  // namespace cytodet::core
