// When two boxes are one.
#pragma once

#include <algorithm>

#include "core/box.h"

namespace cytodet::tiling {

struct Overlap {
  enum class Of { both, smaller, first };  // union, smaller box, the first box
  Of of = Of::both;
  double limit = 0.5;

  // Whether a and b, which share `shared` > 0 square pixels, overlap more than the limit.
  bool exceeded(double shared, double area_a, double area_b) const {
    const double whole = of == Of::both ? area_a + area_b - shared : of == Of::smaller ? std::min(area_a, area_b) : area_a;
    return whole > 0 && shared > limit * whole * (1 - 1e-9) && shared / whole > limit;  // few divisions
  }
  bool exceeded(const Box& a, const Box& b) const {
    const double shared = intersection(a, b);
    return shared > 0 && exceeded(shared, a.area(), b.area());
  }
  // False only when no box of at most this width and height, and at least this area, can exceed the limit with a.
  bool possible(const Box& a, double width, double height, double min_area) const {
    const double max = std::min(a.width(), width) * std::min(a.height(), height), area = a.area();
    const double whole = of == Of::both ? std::max(area, min_area) : of == Of::smaller ? std::min(area, min_area) : area;
    return max > limit * whole * (1 - 1e-9);
  }
};

}  // namespace cytodet::tiling
