// Two sets of detections of the same images: whether one is better, by a paired bootstrap over images.
#pragma once

#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "eval/bootstrap.h"
#include "eval/coco.h"

namespace cytodet::eval {

struct ComparisonOptions {
  ScoreOptions score;
  double iou = 0.5;                      // of matches at the operating point
  std::vector<double> operating_scores;  // per category; NaN: none
  BootstrapOptions bootstrap;
  size_t max_images = 10;  // that are listed
};

struct ComparedFigure {
  std::string name;  // "AP", "AP50", "AP75", "AP of RBC", "F1 of RBC", ...
  double first = kUndefined, second = kUndefined;
  Estimate difference;  // first - second, both on the same resamples
  // Two-sided, of no difference: 2 * min(share of resampled differences <= 0, share >= 0), each share as (k + 1) / (B + 1) with k
  // of B resamples, at most 1 (Davison & Hinkley 1997, "Bootstrap Methods and their Application", 4.4). Undefined without
  // intervals.
  double p = kUndefined;
};
struct ComparedImage {
  int32_t image = 0;
  int64_t first = 0, second = 0;  // errors at the operating point: false detections and missed truths
};
struct Comparison {
  std::vector<ComparedFigure> figures;
  std::vector<ComparedImage> images;  // whose errors differ most, largest difference first
  BootstrapOptions bootstrap;
};
Comparison compare(const GroundTruth& truth, const DetectionSet& first, const DetectionSet& second,
                   const ComparisonOptions& options);

std::string to_text(const Comparison& c, const GroundTruth& truth);
Json to_json(const Comparison& c, const GroundTruth& truth);

}  // namespace cytodet::eval
