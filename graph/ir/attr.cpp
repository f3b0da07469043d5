#include "graph/ir/attr.h"

namespace cytodet::graph {

bool ShapeAttr::admits(const Shape& shape) const {
  if (!known_rank || dims.empty()) return true;
  if (dims.size() != shape.size()) return false;
  for (size_t i = 0; i < dims.size(); ++i)
    if (dims[i] >= 0 && dims[i] != shape[i]) return false;
  return true;
}

}  // namespace cytodet::graph
