// COCO's box metrics, figure for figure as pycocotools computes them, and VOC's.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "eval/ground_truth.h"

namespace cytodet::eval {

struct ScoreOptions {
  std::vector<int> max_dets = {1, 10, 100};  // per image and class, ascending; AP is at the last
  bool follows_slides = false;               // max_dets were raised to what slides have, see follow_slides(): said once
  bool use_categories = true;                // false: all classes pooled
  bool pycocotools_id0 = false;              // a match with annotation id 0 counts as none, as in pycocotools
  int threads = 0;
};

struct ClassScores {
  std::string name;
  int64_t truths = 0;  // not ignored
  double ap = -1, ap50 = -1, ap75 = -1, ar = -1;
  double voc2007 = -1, voc2010 = -1;  // at IoU >= 0.5: 11 points, area under the envelope
  std::array<std::array<double, 101>, 10>
      precision{};  // [IoU threshold][recall 0, 0.01 .. 1], at the last max_dets; -1 without ground truth
};

struct Scores {
  // AP, AP50, AP75, APs, APm, APl, AR at each of max_dets, ARs, ARm, ARl (12 figures for three max_dets); -1: nothing to score.
  std::vector<double> stats;
  double voc2007 = -1, voc2010 = -1;  // means over classes with ground truth
  std::vector<ClassScores> classes;
  std::vector<std::string> warnings;
  std::vector<int> max_dets;
};

// Rules: those of pycocotools' cocoeval (matching per IoU threshold in score order, crowd and out-of-range ground truth ignored,
// 101-point precision). Independent of the number of threads.
Scores score(const GroundTruth& truth, const DetectionSet& detections, const ScoreOptions& options = {});

std::string to_text(const Scores& scores);      // COCO's twelve lines
std::string class_table(const Scores& scores);  // per class
Json to_json(const Scores& scores, bool curves);

}  // namespace cytodet::eval
