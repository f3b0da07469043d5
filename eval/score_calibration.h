// Whether scores are probabilities: of the detections with score s a share s should be right. Detections alone are looked at
// (Küppers et al. 2020, "Multivariate Confidence Calibration for Object Detection"), in bins of equal width.
#pragma once

#include <vector>

#include "eval/bootstrap.h"
#include "eval/class_outcomes.h"

namespace cytodet::eval {

struct CalibrationBin {
  int64_t detections = 0;
  double mean_score = kUndefined;  // undefined without detections
  Estimate precision;              // share that is right
};
struct ScoreCalibration {
  std::vector<CalibrationBin> bins;  // of scores (i / n, (i + 1) / n], the first with 0, as scikit-learn's calibration_curve
  Estimate ece;                      // Guo et al. 2017: sum over bins of their share of detections * |precision - mean score|
};
// Scores above 1 or below 0 are put into the outer bins. Undefined without detections.
ScoreCalibration score_calibration(const ClassOutcomes& outcomes, const Bootstrap& bootstrap, size_t bins = 10);

}  // namespace cytodet::eval
