// evaluate's analysis of errors: tables, report, and a sheet of the worst images.
#pragma once

#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "eval/error_analysis.h"
#include "tiling/slides/image_selection.h"

namespace CLI {
class App;
}

namespace cytodet::pipeline {

struct ErrorReport {
  bool errors = false;
  std::string worst;  // image that is written; empty: none
  int worst_count = 6;
  double worst_score = 0.4;  // detections below are neither counted nor drawn there

  void add(CLI::App& app);
  bool wanted() const { return errors || !worst.empty(); }
  // Prints the tables, adds "errors" to the report, draws the sheet; `files`: of the ground truth's images.
  void run(const GroundTruth& truth, const DetectionSet& set, const ErrorOptions& options, const std::vector<std::string>& files,
           const ImageSelection& selection, Json& report) const;
};

}  // namespace cytodet::pipeline
