// What the rows of merge_methods() share.
#pragma once

#include <vector>

#include "tiling/merge.h"

namespace cytodet {

// One ranked list per class; equal detections of several tiles lie side by side, uncut first.
std::vector<std::vector<TileDetection>> by_class(std::vector<TileDetection> all);

// Bodla et al. 2017, "Soft-NMS", eq. 5: taken best first, each box lowers the rest by exp(-iou^2 / soft_sigma); what falls below
// soft_score goes.
Detections merge_soft_nms(std::vector<TileDetection> all, const MergeSettings& settings);

}  // namespace cytodet
