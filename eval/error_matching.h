// The first part of find_errors(): what went wrong.
#pragma once

#include "eval/error_analysis.h"

namespace cytodet::eval {

// A detection that counts, or a ground truth box that was missed; in the order of images, detections by falling score, then
// ground truth boxes.
struct Outcome {
  int32_t detection = -1, truth = -1;  // truth: the box that the error would be set right to, -1 for none
  int32_t category = 0, truth_category = 0;
  double score = 0;
  bool correct = false, ignored = false;
  ErrorKind kind = ErrorKind::bkg;  // unless correct
  bool fixable = false;             // set right, this is the match of `truth`
  int size = 0;                     // index into Errors::sizes
};

// Matches and names the errors of every image.
std::vector<Outcome> find_outcomes(const GroundTruth& truth, const DetectionSet& detections, const ErrorOptions& options);

}  // namespace cytodet::eval
