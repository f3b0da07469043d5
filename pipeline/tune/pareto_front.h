// Points of a search, their Pareto front of mAP against speed, and choosing one of them.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace cytodet::pipeline {

// One run config: indices into TuneSpace's networks, parallel_settings and merges.
struct TunePoint {
  size_t network = 0, parallel = 0, merge = 0;
  double map = 0;         // mAP; -1: nothing to score
  double per_second = 0;  // images, or area of slides, per second; see round_speed
};

// Three significant digits: finer differences of measured times say nothing.
double round_speed(double per_second);

// At least as good in both, and better in one.
bool dominates(const TunePoint& a, const TunePoint& b);

// Indices of the points that no other dominates, by falling mAP, then speed, then index. Equal points all stay.
std::vector<size_t> pareto_front(const std::vector<TunePoint>& points);

// The competition's sum: mAP and speed, each relative to the best of the points; 2 is the most.
std::vector<double> sum_scores(const std::vector<TunePoint>& points);

// How one point is chosen, where mAP stands for top-1 too: "max-map", "max-speed", "score", or with a limit, "map>=0.5" (then the
// fastest) and "speed>=2" (then the best mAP). Equal points: the better in the other figure, then the first.
struct PickRule {
  const char* name;
  const char* summary;
  bool takes_limit;
  // Whether the point may be chosen, and what is maximised, first the one, then the other.
  bool (*allows)(const TunePoint& p, double limit);
  std::pair<double, double> (*value)(const TunePoint& p, double sum_score);
};
std::span<const PickRule> pick_rules();

// Throws UsageError on an unknown rule or limit.
void check_pick(const std::string& rule);
// Index of the point. Throws Error when there are no points, or none within the limit; its text calls the figures so.
size_t pick(const std::vector<TunePoint>& points, const std::string& rule, const std::string& figure = "mAP",
            const std::string& unit = "images");

}  // namespace cytodet::pipeline
