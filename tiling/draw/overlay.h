// An image of a slide with its detections.
#pragma once

#include <string>
#include <vector>

#include "core/box.h"
#include "tiling/slides/slide.h"

namespace cytodet::tiling {

struct OverlayOptions {
  double score = 0.4;   // least score of a box that is drawn
  int max_side = 2048;  // pixels of the image's longer side
};

// The slide scaled down, boxes in one colour per class, and above it a legend with the number of boxes drawn per class.
Image draw_overlay(const Slide& slide, const Detections& detections, const std::vector<std::string>& classes,
                   const OverlayOptions& options = {});

}  // namespace cytodet::tiling
