// All figures for screening and counting of a set of detections.
#pragma once

#include <string>
#include <vector>

#include "eval/box_confusion.h"
#include "eval/coco.h"
#include "eval/count_agreement.h"
#include "eval/froc.h"
#include "eval/operating_point.h"
#include "eval/score_calibration.h"
#include "eval/slide_scores.h"

namespace cytodet::eval {

struct ScreeningOptions {
  ScoreOptions score;  // of AP
  double iou = 0.5;    // least overlap of a match
  BootstrapOptions bootstrap;
  std::vector<double> operating_scores;  // per category; NaN: none, and nothing is reported at it
  std::vector<double> mm2;               // per image, what was looked at; empty: not known
  std::vector<int> labels;               // per image: 1 positive, 0 negative, -1 not known; empty: none
};

constexpr size_t kScoreSteps = 100;  // curves over the score are reported at 0, 0.01 .. 1

struct ScreeningClass {
  std::string name;
  int64_t truths = 0, detections = 0;
  Estimate ap;  // COCO's; none where all classes are pooled
  double operating_score = kUndefined;
  PointFigures at_point;
  std::vector<Estimate> precision, recall, f1;  // of the detections with score >= 0, 0.01 .. 1
  Froc per_image, per_mm2;                      // per_mm2: empty where areas are not known
  CountAgreement counts;
  ScoreCalibration calibration;
  std::vector<Roc> slides;  // by kSlideScores; empty without labels
};

struct Screening {
  Estimate ap, ap50, ap75;  // COCO's
  std::vector<ScreeningClass> classes;
  BoxConfusion confusion;
  std::vector<std::string> names;  // of the confusion's rows and columns, without background
  double iou = 0.5;
  BootstrapOptions bootstrap;
  size_t images = 0;
  std::vector<std::string> notes;  // what could not be computed, and why
};

Screening screen(const GroundTruth& truth, const DetectionSet& set, const ScreeningOptions& options);

}  // namespace cytodet::eval
