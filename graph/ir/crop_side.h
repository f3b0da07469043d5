// The points at which CropAndResize reads a map.
#pragma once

#include <cstdint>

#include "core/namespaces.h"

namespace cytodet::graph {

// The places of a crop's points along one side of a map: from * (side - 1) + i * step, i in [0, points). Computed in float32 in
// TensorFlow's order of operations, for rounding decides whether a last point at the edge still lies inside.
struct CropSide {
  CropSide(float from, float to, int64_t side, int64_t points)
      : last(static_cast<float>(side - 1)),
        first(points > 1 ? from * last : static_cast<float>(0.5 * (from + to) * last)),
        step(points > 1 ? (to - from) * last / static_cast<float>(points - 1) : 0) {}
  float at(int64_t i) const { return first + static_cast<float>(i) * step; }
  bool holds(float place) const { return place >= 0 && place <= last; }
  float last, first, step;
};

}  // namespace cytodet::graph
