// Merging the detections of overlapping tiles. The result depends neither on the order of tiles nor on threads.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/box.h"
#include "core/settings.h"

namespace cytodet {

struct MergeSettings {
  std::string method = "owner";  // a row of merge_methods()
  double iou = 0.5;              // boxes of one class that overlap more are one
  double edge_px = 4;            // a box this near to an inner tile edge may be cut (level-0 pixels)
  double cover = 0.6;            // share of a cut box inside another tile's box above which it is part of it
  double soft_sigma = 0.5;       // soft_nms
  double soft_score = 0.05;      // soft_nms: least score that is kept
};
void fields(Fields& f, MergeSettings& s);

struct TileDetection {
  Detection detection;  // level-0 pixels
  int tile = 0;
  bool cut = false;  // touches a tile edge that is not the slide's
};

struct MergeMethod {
  const char* name;
  const char* summary;
  Detections (*run)(std::vector<TileDetection> detections, const MergeSettings& settings);
};
std::span<const MergeMethod> merge_methods();

// Ranked detections. Throws UsageError on an unknown method or impossible values.
Detections merge(std::vector<TileDetection> detections, const MergeSettings& settings);

}  // namespace cytodet
