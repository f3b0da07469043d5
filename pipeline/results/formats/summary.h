// What an image's detections amount to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "pipeline/results/formats/output.h"

namespace cytodet::pipeline {

class Summary {
 public:
  struct Class {
    int64_t boxes = 0;
    double score_sum = 0, width_sum = 0, height_sum = 0;
  };
  void add(const Detection& detection);
  int64_t boxes() const { return boxes_; }
  const std::vector<Class>& classes() const { return classes_; }
  // image, image_id, width, height (of what was scanned), boxes, and per class boxes, mean score, mean width and height in
  // pixels; mpp, area_mm2, area_of (which area that is) and boxes per mm², null if the micrometres per pixel are not known.
  // `counting`: which boxes were added, as boxes_count; left out where all were.
  Json json(const OutputImage& image, DensityOf density_area = DensityOf::regions, const CountingScores& counting = {}) const;

 private:
  std::vector<Class> classes_;
  int64_t boxes_ = 0;
};

// The area that boxes are divided by.
struct DensityArea {
  double mm2 = 0;
  DensityOf of = DensityOf::slide;
  bool unknown = false;  // another area was asked for, which the run does not give, and this one is larger
};
// Empty when the size or the micrometres per pixel are not known.
std::optional<DensityArea> density_area(const OutputImage& image, DensityOf which);

}  // namespace cytodet::pipeline
