// The operating point: the least score from which a detection is taken for a cell, chosen by a rule on labelled images.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/bootstrap.h"
#include "eval/class_outcomes.h"

namespace cytodet::eval {

enum class RuleKind {
  f_beta,        // largest F-beta
  count,         // as many detections as truths, or as near to that as scores allow: precision is recall
  recall,        // highest score with at least this recall
  precision,     // lowest score with at least this precision
  fp_per_image,  // lowest score with at most so many false positives per image
  fp_per_mm2     // or per square millimetre of what was looked at
};
struct OperatingRule {
  RuleKind kind = RuleKind::f_beta;
  double value = 1;  // beta, or the bound
  std::string text = "f1";
};
// f1, fbeta:B, count, recall>=R, precision>=P, fp-per-image<=X, fp-per-mm2<=X. Throws UsageError with the known ones.
OperatingRule operating_rule(const std::string& text);

// Figures of the detections from a score on.
struct PointFigures {
  Estimate precision, recall, f1, fp_per_image;
  Estimate fp_per_mm2;  // undefined where areas are not known
};
// `mm2`: per image, or empty. NaN as least score: everything undefined.
PointFigures figures_at(const ClassOutcomes& outcomes, double min_score, std::span<const double> mm2, const Bootstrap& bootstrap);

struct OperatingPoint {
  std::optional<double> score;       // none: no score meets the rule, or the class has no ground truth
  std::optional<Interval> interval;  // of the score: the rule on resamples
  std::string problem;               // then: why, with the nearest that is reached
  PointFigures figures;              // at the score
};
// The score is the shortest decimal number between the last score that is taken and the next below, both also as floats, so that
// rounding in files and in memory does not move a detection across it. Throws UsageError where the rule needs areas and they are
// not known.
OperatingPoint find_operating_point(const ClassOutcomes& outcomes, const OperatingRule& rule, std::span<const double> mm2,
                                    const Bootstrap& bootstrap);

// The decimal number of fewest digits in (below, above]; of several the largest.
double shortest_between(double below, double above);

}  // namespace cytodet::eval
