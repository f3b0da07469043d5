// The search: which settings are measured, in which order, and which are given up early. Knows nothing of networks or images.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pipeline/tune/pareto_front.h"

namespace cytodet::pipeline {

// Every point is (network, lane, merge): what costs inference, how many streams and threads it runs on, and what is done with the
// detections of its tiles.
struct TuneGrid {
  size_t networks = 0, lanes = 0, merges = 0;
  size_t points() const { return networks * lanes * merges; }
};

struct TuneAccuracy {
  double map = 0;            // at the last stage; before it a bound that the mAP cannot exceed
  double merge_seconds = 0;  // per image, 0 before the last stage
};

// What is asked of the world. An Error says that the network setting is impossible; the others go on.
struct TuneMeasure {
  int stages = 1;  // accuracy is looked at with more and more images; at the last stage with all
  std::function<double(size_t network, size_t lane)> seconds;  // per image, above 0, without merging
  std::function<std::vector<TuneAccuracy>(size_t network, int stage, const std::vector<size_t>& merges)> accuracy;
  std::function<bool()> stop;              // asked before each measurement
  std::function<void(size_t steps)> step;  // so many more of tune_steps() are done
};
size_t tune_steps(const TuneGrid& grid, int stages);

struct TuneFailure {
  size_t network = 0;
  std::string reason;
};

struct TuneResult {
  std::vector<TunePoint> points;      // measured to the end, by network, lane, merge
  std::vector<TuneFailure> failures;  // by network
  size_t pruned = 0;                  // points given up early
  size_t networks_pruned = 0;         // networks that were not shown all images
  bool complete = true;               // false: stopped
};

// First the seconds of all networks and lanes, then accuracy, the fastest network first. With `prune` a (network, merge) is given
// up at a stage when a finished point dominates the best that it can still become: the stage's bound of its mAP, at its fastest
// lane's speed with no time for merging. A finished point that dominates this dominates what it would become, so the front is
// that of the exhaustive search. Throws Error when every network fails.
TuneResult search(const TuneGrid& grid, const TuneMeasure& measure, bool prune = true);

}  // namespace cytodet::pipeline
