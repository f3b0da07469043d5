// Scores of whole slides, and how well they separate positive slides from negative ones.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "eval/bootstrap.h"

namespace cytodet::eval {

constexpr size_t kTopScores = 10;
constexpr std::array<double, 3> kSpecificities = {0.8, 0.9, 0.95};

enum class SlideScore { maximum, mean_of_top, count };
constexpr std::array<SlideScore, 3> kSlideScores = {SlideScore::maximum, SlideScore::mean_of_top, SlideScore::count};
const char* name_of(SlideScore score);  // "maximum", "mean of the top 10", "count"

// What a slide's detections of one class, in any order, give: the best score; the mean of the kTopScores best, a missing one
// counted as 0; the number with at least `min_score`. 0 without detections.
double slide_score(SlideScore which, std::vector<double> scores, double min_score);

struct RocPoint {
  double false_positive_rate = 0, sensitivity = 0;
};
struct Roc {
  std::vector<RocPoint> curve;  // from (0, 0) to (1, 1), a point per score that occurs
  Estimate auc;                 // share of pairs of a positive and a negative slide in order, ties by half (Hanley & McNeil 1982)
  std::vector<Estimate> sensitivity;  // the largest at a specificity of at least kSpecificities
};
// labels: 1 positive, 0 negative, -1 not known and left out. Undefined without slides of both kinds.
Roc roc(const std::vector<double>& scores, const std::vector<int>& labels, const Bootstrap& bootstrap);

}  // namespace cytodet::eval
