// The search: which settings are measured, in which order, and which are given up early. Knows nothing of networks or images.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pipeline/tune/pareto_front.h"

namespace cytodet::pipeline {

// A point of the search is (network, parallel, merge), three indices: into the settings that need the network run again, into the
// parallelism settings (pairs of streams and threads per stream), and into the settings that only merge the tiles' detections.
struct TuneGrid {
  size_t networks = 0, parallel_settings = 0, merges = 0;
  size_t points() const { return networks * parallel_settings * merges; }
};

struct TuneAccuracy {
  double map = 0;            // mAP at the last stage; at earlier ones an upper bound of it
  double merge_seconds = 0;  // per image, 0 before the last stage
};

// What the search calls to measure. An Error thrown by one of them rules out that network; the search goes on with the others.
struct TuneMeasure {
  int stages = 1;  // accuracy is measured on more images at each stage, on all of them at the last
  std::function<double(size_t network, size_t parallel)> seconds;  // per image, above 0, without merging
  std::function<std::vector<TuneAccuracy>(size_t network, int stage, const std::vector<size_t>& merges)> accuracy;
  std::function<bool()> stop;              // asked before each measurement
  std::function<void(size_t steps)> step;  // progress: `steps` more of tune_steps() are done
};
size_t tune_steps(const TuneGrid& grid, int stages);

struct TuneFailure {
  size_t network = 0;
  std::string reason;
};

struct TuneResult {
  std::vector<TunePoint> points;      // measured to the end, by network, parallel, merge
  std::vector<TuneFailure> failures;  // by network
  size_t pruned = 0;                  // points given up early
  size_t networks_pruned = 0;         // networks that were not shown all images
  bool complete = true;               // false: stopped
};

// Measures the seconds of all networks and parallelism settings first, then accuracy, the fastest network first. With `prune` a
// pair of network and merge is given up after a stage when some finished point is at least as good in both mAP and speed as the
// pair could still become: the stage's upper bound of its mAP, at the speed of its fastest parallelism setting with merging taken
// as free. The Pareto front is therefore that of the exhaustive search. Throws Error when every network fails.
TuneResult search(const TuneGrid& grid, const TuneMeasure& measure, bool prune = true);

}  // namespace cytodet::pipeline
