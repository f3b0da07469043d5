// Texts in a row, with something between them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

inline std::string join(const std::vector<std::string>& texts, std::string_view separator) {
  std::string all;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) all += separator;
    all += texts[i];
  }
  return all;
}

// "a, b, c", or the first `most` and ", ...".
inline std::string listed(const std::vector<std::string>& names, size_t most = 12) {
  if (names.size() <= most) return join(names, ", ");
  return join({names.begin(), names.begin() + static_cast<std::ptrdiff_t>(most)}, ", ") + ", ...";
}

}  // namespace cytodet::core
