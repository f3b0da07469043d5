// A picture of a slide with its detections.
#pragma once

#include <string>
#include <vector>

#include "core/box.h"
#include "tiling/slide.h"

namespace cytodet {

// The slide shrunk so that its longer side is at most max_side pixels, boxes in one colour per class, and a legend with the count of
// each class.
Image draw_overlay(const Slide& slide, const Detections& detections, const std::vector<std::string>& classes, int max_side = 2048);

}  // namespace cytodet
