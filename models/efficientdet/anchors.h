// The boxes that EfficientDet's heads speak of.
#pragma once

#include <cstdint>
#include <vector>

#include "models/common/input_settings.h"
#include "models/efficientdet/efficientdet_settings.h"

namespace cytodet::models {

struct Anchor {
  float cx, cy, width, height;  // input pixels
};

// Anchors of one level, in the order of the heads: row, column, octave (outer), aspect (inner). Centre (i + 0.5) * stride, side
// scale * stride * 2^(octave / octaves), width * sqrt(aspect), height / sqrt(aspect). A feature map has ceil(input / 2^level)
// cells, and stride is input / cells: 2^level, or less where the input is no multiple of that (google/automl,
// efficientdet/tf2/anchors.py).
class AnchorLevel {
 public:
  AnchorLevel(const InputSettings& input, const AnchorSettings& settings, int level);
  int64_t size() const { return rows_ * columns_ * static_cast<int64_t>(of_cell_.size()); }
  Anchor operator[](int64_t i) const;  // 0 <= i < size()

 private:
  int64_t rows_, columns_;
  double stride_x_, stride_y_;
  std::vector<Anchor> of_cell_;  // their sizes
};

}  // namespace cytodet::models
