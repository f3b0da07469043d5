// A number for people, of four significant digits: 0.4, 12.35, 1e-05.
#pragma once

#include <cstdio>
#include <string>

#include "core/namespaces.h"

namespace cytodet::core {

inline std::string rounded(double v) {
  char text[40];
  std::snprintf(text, sizeof text, "%.4g", v);
  return text;
}

}  // namespace cytodet::core
