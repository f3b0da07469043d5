// What a picture's detections amount to.
#pragma once

#include "core/settings.h"
#include "pipeline/outputs/output.h"

namespace cytodet {

class Summary {
 public:
  struct Class {
    int64_t boxes = 0;
    double score_sum = 0, width_sum = 0, height_sum = 0;
  };
  void add(const Detection& detection);
  int64_t boxes() const { return boxes_; }
  const std::vector<Class>& classes() const { return classes_; }
  // image, image_id, width, height, boxes, and per class boxes, mean score, mean width and height in pixels. Where the
  // micrometres per pixel are known also mpp, area_mm2 (of the whole picture) and boxes per mm²; otherwise these are null.
  Json json(const OutputPicture& picture) const;

 private:
  std::vector<Class> classes_;
  int64_t boxes_ = 0;
};

// mm²; empty when the size or the micrometres per pixel are not known.
std::optional<double> area_mm2(const OutputPicture& picture);

}  // namespace cytodet
