// evaluate's figures for screening and counting: operating points, intervals, comparison with other results.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "eval/comparison.h"
#include "eval/screening.h"
#include "pipeline/detect/score_detections.h"
#include "pipeline/results/formats/output.h"

namespace CLI {
class App;
}

namespace cytodet::pipeline {

struct FigureFlags {
  bool figures = false;
  std::string operating_point;  // rule; empty: the point is not looked for
  std::string model_out;        // model file with the point; empty: the model file itself
  std::string against;          // results to compare with
  std::string slide_labels;
  std::optional<double> operating_score;
  BootstrapOptions bootstrap;
  double iou = 0.5;

  void add(CLI::App& app);
  void check() const;  // throws UsageError where they do not fit each other
  bool tables() const { return figures || !operating_point.empty() || !slide_labels.empty(); }
  bool wanted() const { return tables() || !against.empty(); }
};

// What is scored.
struct FigureInputs {
  const GroundTruth& truth;
  const DetectionSet& set;
  ScoredImages images;
  CountingScores counting;            // of `classes`; counting everything: kDefaultOperatingScore
  Classes classes;                    // of the model, run or ground truth
  std::string truth_file, model;      // paths
  std::string data_hash, graph_hash;  // see OperatingScores
};

// Prints tables and adds "operating_point" and "figures" to the report. With a rule: finds the operating point and writes it into
// the model file; throws Error, and writes nothing, where no score meets the rule. Returns the scores that the figures are at.
CountingScores run_figures(const FigureFlags& flags, const FigureInputs& inputs, const ScoreOptions& options, Json& report);
// Prints the comparison with `other` and adds "against".
void run_comparison(const FigureFlags& flags, const FigureInputs& inputs, const DetectionSet& other, const ScoreOptions& options,
                    Json& report);

}  // namespace cytodet::pipeline
