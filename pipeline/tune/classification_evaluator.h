// Measuring a search's settings with classification networks, on labelled images.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/classify/classifier.h"
#include "pipeline/inputs/labelled_images.h"
#include "pipeline/tune/evaluator.h"

namespace cytodet::pipeline {

// Files in the output folder: journal.json.
class ClassificationMeasurer : public TuneEvaluator {
 public:
  // Throws UsageError where a network of the search does not classify, or boxes are searched.
  explicit ClassificationMeasurer(const TuneSpace& space);

  int stages() const override { return 1; }
  // Reading, resizing and network of the first `speed.images` images, the fastest of `speed.repeats`.
  double seconds(size_t network, size_t parallel) override;
  // Top-1 of all images.
  std::vector<TuneAccuracy> accuracy(size_t network, int stage, const std::vector<size_t>& merges) override;
  size_t images() const override { return images_.size(); }
  const char* figure() const override { return "top-1"; }

 private:
  Classifier classifier(size_t network, size_t parallel) const;
  std::string network_key(size_t network) const;

  const TuneSpace& space_;
  const std::filesystem::path folder_;
  std::vector<LabelledImage> images_, timed_;
  std::string images_hash_;
  TuneJournal journal_;
};

}  // namespace cytodet::pipeline
