// The key "operating_scores" of a model file: from which score on a detection of a class counts as a cell, by which rule that
// was found, on which data, and what it reaches there (docs/operating_point.md).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"

namespace cytodet::models {

// The score for model files that give none.
constexpr double kDefaultOperatingScore = 0.4;

struct FigureReached {
  std::optional<double> value, low, high;  // interval; none: not known
  friend bool operator==(const FigureReached&, const FigureReached&) = default;
};
struct OperatingScore {
  std::string name;  // of the class
  double score = kDefaultOperatingScore;
  std::optional<double> low, high;  // interval of the score
  std::string problem;              // why the rule gave none, which the default stands for; else empty
  FigureReached precision, recall, f1, false_positives_per_image;
  friend bool operator==(const OperatingScore&, const OperatingScore&) = default;
};
struct OperatingScores {
  std::string rule;        // "f1", "recall>=0.95"
  double iou = 0.5;        // least overlap of a match
  std::string truth;       // name of the ground truth's file
  std::string data_hash;   // of the bytes of ground truth, and of images or detections
  std::string graph_hash;  // of the graph that gave the detections; empty: not known
  int images = 0, resamples = 0;
  double level = 0.95;                  // of the intervals
  std::vector<OperatingScore> classes;  // in the order of the channels
  friend bool operator==(const OperatingScores&, const OperatingScores&) = default;
};
void fields(Fields& f, FigureReached& s);
void fields(Fields& f, OperatingScore& s);
void fields(Fields& f, OperatingScores& s);
// Throws UsageError with the key where scores are out of range or the classes are not those of the model.
void check(const OperatingScores& s, const std::vector<std::string>& classes, const std::string& where);

}  // namespace cytodet::models
