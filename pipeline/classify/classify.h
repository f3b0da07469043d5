// Labelled images -> class scores, in one bounded pipeline of batches.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "eval/classifier_scores.h"
#include "pipeline/classify/classifier.h"
#include "pipeline/inputs/labelled_images.h"

namespace cytodet::pipeline {

struct ClassifiedImage {
  size_t index = 0;            // among the images given
  std::string problem;         // why it has no scores: it cannot be read, or they are not finite; empty: it has
  bool is_miss = false;        // with a problem: it was read, and counts as a miss of an accuracy
  std::vector<float> scores;   // one per class; empty with a problem
  std::string label;           // as its data set calls it; empty: none
  std::optional<int> channel;  // of the label; none: no label
};

struct ClassifiedBatch {
  std::vector<ClassifiedImage> images;  // in their order
  double network_ms = 0;                // of the network on this batch
};

struct ClassifyHooks {
  std::function<void(const ClassifiedBatch&)> batch;  // in order, from one thread at a time
  bool labels_needed = false;                         // an image without a label has a problem
};

struct ClassifyReport {
  size_t images = 0, failed = 0;
  double wall_ms = 0;
  double network_ms = 0;        // sum over the batches
  size_t rows = 0;              // that the network computed in that time: batches are as large as the first, also the last
  double images_per_s() const;  // that were classified
};

// Batches of classifier.batch() images, the last one of what is left; images are read and resized by the thread that runs them.
// An image that cannot be read is reported and leaves the others alone. Scores depend neither on streams nor on the batch. Throws
// UsageError, before any work, for a label of `images` that the classes do not hold, and for one that is needed and missing.
ClassifyReport classify(Classifier& classifier, const std::vector<LabelledImage>& images, const ClassifyHooks& hooks);

// The channel of a label: a class of that name, else the network's number for it; where classes have numbers for names
// (class_count), always the latter. Throws UsageError of `where` with the nearest classes, and where several classes have the
// name.
int channel_of(const ClassificationModel& network, const ImageLabel& label, const std::string& where);

// Adds what is known of an image; false where it could not be read and so is not scored.
bool add_to(ClassificationScores& scores, const ClassifiedImage& image);

// Scores of all images, which need labels. Throws Error when one cannot be read.
ClassificationScores measure_accuracy(Classifier& classifier, const std::vector<LabelledImage>& images);

int exit_of(const ClassifyReport& report);

}  // namespace cytodet::pipeline
