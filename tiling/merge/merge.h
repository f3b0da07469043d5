// Merging detections that overlap: those of neighbouring tiles, or of several runs. The result depends neither on the order of
// the detections nor on tiles or threads: all ranking is by ranks_before. Memory is O(n).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/box.h"
#include "core/json_fwd.h"

namespace cytodet::tiling {

enum class MergeMethod { nms, soft_nms, greedy_nmm, nmm, wbf, owner };
enum class MergeMetric { iou, ios };  // overlap of two boxes: over their union, or over the smaller box
enum class WbfScore { max, avg };     // of a fused box

// Names in settings and on the command line; an unknown name is a UsageError that lists the known ones.
const char* name_of(MergeMethod method);
const char* name_of(MergeMetric metric);
const char* name_of(WbfScore score);
MergeMethod merge_method_named(const std::string& name);
MergeMetric merge_metric_named(const std::string& name);
WbfScore wbf_score_named(const std::string& name);

struct MergeSettings {
  MergeMethod method = MergeMethod::owner;
  MergeMetric metric = MergeMetric::iou;
  double iou = 0.5;                    // boxes that overlap more, by that metric, are one
  bool class_agnostic = false;         // boxes of different classes merge too; the best one's class stays
  double edge_px = 4;                  // a box this near to an inner tile edge may be cut (level-0 pixels)
  double cover = 0.6;                  // owner: share of a cut box inside another tile's box above which it is part of it
  double soft_sigma = 0.5;             // soft_nms
  double soft_score = 0.05;            // soft_nms: least score that is kept
  WbfScore wbf_score = WbfScore::max;  // wbf
  int wbf_models = 1;                  // wbf with avg: results of how many models these are
};
void fields(Fields& f, MergeSettings& s);

struct TileDetection {
  Detection detection;  // level-0 pixels
  int tile = 0;
  bool cut = false;  // touches a tile edge that is not the slide's
};

struct MergeMethodEntry {
  MergeMethod method;
  const char* name;
  const char* summary;
  bool iou_only;  // defined by IoU; another metric is refused
  Detections (*run)(std::vector<TileDetection> detections, const MergeSettings& settings);
};
std::span<const MergeMethodEntry> merge_methods();

// Throws UsageError on impossible values.
void check(const MergeSettings& settings);

// Ranked detections. Throws UsageError as check() does, and Error on a coordinate or score that is not finite.
Detections merge(std::vector<TileDetection> detections, const MergeSettings& settings);

}  // namespace cytodet::tiling
