// What the first look of a cascade costs: the same images with every tile run.
#pragma once

#include <string>

#include "eval/coco.h"
#include "pipeline/detect/score_detections.h"

namespace cytodet::pipeline {

// Figures of the same images with a first look and, as all_..., without one.
struct CascadeRuns {
  DetectionSet all_tiles;  // what every tile gives
  int64_t tiles = 0, silent = 0;
  double seconds = 0, all_seconds = 0;
};

// Runs every tile; `report` is of the run with the first look.
CascadeRuns run_all_tiles(Detector& detector, const GroundTruth& truth, const std::vector<std::string>& images,
                          const DetectSettings& settings, const DetectReport& report, bool quiet);

// AP, AR, and recall of the boxes that count at IoU 0.5, both with the first look and of every tile; the share of tiles left out.
// counting_scores: per category, see scores_of_categories().
Json cascade_json(const CascadeRuns& runs, const GroundTruth& truth, const DetectionSet& set, const ScoreOptions& options,
                  const std::vector<double>& counting_scores);
std::string cascade_text(const Json& json);

}  // namespace cytodet::pipeline
