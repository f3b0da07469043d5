#include "pipeline/cli/input_shapes.h"

#include <algorithm>
#include <cstdlib>

#include "core/error.h"

namespace cytodet::pipeline {

std::map<std::string, Shape> parse_shapes(const std::vector<std::string>& texts, const std::string& option) {
  std::map<std::string, Shape> shapes;
  for (const std::string& text : texts) {
    size_t eq = text.rfind('=');
    Shape shape;
    bool ok = eq != std::string::npos && eq > 0;
    for (size_t at = eq + 1; ok && at <= text.size();) {
      size_t comma = std::min(text.find(',', at), text.size());
      char* end = nullptr;
      std::string part = text.substr(at, comma - at);
      shape.push_back(std::strtoll(part.c_str(), &end, 10));
      ok = !part.empty() && *end == 0 && shape.back() >= -1;
      at = comma + 1;
    }
    if (!ok) throw UsageError(option + " " + text, "must be name=d0,d1,...");
    shapes[text.substr(0, eq)] = shape;
  }
  return shapes;
}

}  // namespace cytodet::pipeline
