// COCO's AP of resampled images, fast enough for thousands of resamples.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "eval/coco.h"

namespace cytodet::eval {

// Figures: AP, AP50, AP75, then AP of each class; those of score(), were each image there as often as its weight says, with ids
// next to each other; copies of one detection stay together where an image has equal scores. Undefined (NaN) without truths.
class ResampledAp {
 public:
  ResampledAp(const GroundTruth& truth, const DetectionSet& set, const ScoreOptions& options);
  ~ResampledAp();
  size_t count() const;
  void operator()(std::span<const int32_t> weights, std::span<double> out) const;  // any thread

 private:
  struct Class;
  std::vector<Class> classes_;
};

}  // namespace cytodet::eval
