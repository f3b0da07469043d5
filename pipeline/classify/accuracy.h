// Classifiers scored on labelled images: progress as Intel's benchmark script prints it, tables, several networks side by side.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "pipeline/classify/classify.h"

namespace cytodet::pipeline {

struct AccuracyRun {
  std::string name;  // of the network, for tables
  ClassificationScores scores;
  ClassifyReport report;
  int64_t file_bytes = 0;       // of the graph
  double ms_per_image() const;  // of the network in its stream, batches in full
};

struct AccuracyHooks {
  std::function<void(const std::string& line)> progress;    // lines of a batch; empty: none
  std::function<void(const ClassifiedBatch&)> batch;        // as ClassifyHooks
  std::function<void(const std::string& problem)> problem;  // an image without scores: a miss, or not scored
};

// Scores all images, also those of a last batch that is not full. Throws Error where none could be scored.
AccuracyRun run_accuracy(const std::string& name, Classifier& classifier, const std::vector<LabelledImage>& images,
                         const AccuracyHooks& hooks);

// "Iteration time: 12.3456 ms" (the network on the batch) and "Processed 100 images. (Top1 accuracy, Top5 accuracy) = (0.9900,
// 1.0000)", running means.
std::string progress_lines(const ClassifiedBatch& batch, const ClassificationScores& scores);

// A row per network, and behind each but the first what it loses against that one; then how many images were misses without a
// prediction. Images per second count reading and all streams. Networks are to be compared on images that all of them have
// scored: see compared_alike().
std::string accuracy_table(const std::vector<AccuracyRun>& runs);
// Empty, or which network scored another number of images than the first, so that their figures do not compare.
std::string compared_alike(const std::vector<AccuracyRun>& runs);
Json accuracy_json(const std::vector<AccuracyRun>& runs);

}  // namespace cytodet::pipeline
