// Boxes and detections, always in level-0 pixels of their image or slide (x to the right, y down).
#pragma once

#include <algorithm>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

struct Box {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // corners, x0 <= x1, y0 <= y1

  double width() const { return x1 - x0; }
  double height() const { return y1 - y0; }
  double area() const { return width() * height(); }
  friend bool operator==(const Box&, const Box&) = default;
};

struct Detection {
  Box box;
  int category = 0;  // index into the model's class names, from 0
  float score = 0;   // 0..1
  friend bool operator==(const Detection&, const Detection&) = default;
};

inline double intersection(const Box& a, const Box& b) {
  double w = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  double h = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  return w > 0 && h > 0 ? w * h : 0;
}

// Intersection over union, continuous coordinates (no +1); 0 when both are empty.
inline double iou(const Box& a, const Box& b) {
  double i = intersection(a, b);
  double u = a.area() + b.area() - i;
  return u > 0 ? i / u : 0;
}

// The one order used wherever detections are ranked: score falling, then category, then coordinates,
// so that results never depend on tile order or threads.
inline bool ranks_before(const Detection& a, const Detection& b) {
  if (a.score != b.score) return a.score > b.score;
  if (a.category != b.category) return a.category < b.category;
  if (a.box.x0 != b.box.x0) return a.box.x0 < b.box.x0;
  if (a.box.y0 != b.box.y0) return a.box.y0 < b.box.y0;
  if (a.box.x1 != b.box.x1) return a.box.x1 < b.box.x1;
  return a.box.y1 < b.box.y1;
}

using Detections = std::vector<Detection>;

}  // namespace cytodet::core
