// Raw heads -> detections.
#pragma once

#include <span>
#include <vector>

#include "core/box.h"
#include "core/tensor.h"
#include "models/efficientdet/model_file.h"

namespace cytodet::models {

struct Anchor {
  float cx, cy, width, height;  // input pixels
};

// Anchors of one level, in the order of the heads: row, column, octave (outer), aspect (inner). Centre (i + 0.5) * stride, side
// scale * stride * 2^(octave / octaves), width * sqrt(aspect), height / sqrt(aspect). A map has ceil(input / 2^level) cells, and
// stride is input / cells: 2^level, or less where the input is no multiple of that (google/automl, efficientdet/tf2/anchors.py).
class AnchorLevel {
 public:
  AnchorLevel(const ModelFile& model, int level);
  int64_t size() const { return rows_ * columns_ * static_cast<int64_t>(of_cell_.size()); }
  Anchor operator[](int64_t i) const;  // 0 <= i < size()

 private:
  int64_t rows_, columns_;
  double stride_x_, stride_y_;
  std::vector<Anchor> of_cell_;  // their sizes
};

class Decoder {
 public:
  explicit Decoder(ModelFile model);

  // logits[l] [1, h, w, anchors * classes], deltas[l] [1, h, w, anchors * 4] as (ty, tx, th, tw): centre = t * size + centre,
  // side = exp(t) * side. Boxes come back in source pixels: input / scale, clipped to width x height. Per class: score above the
  // least, best candidates_per_class, suppression; then the best `detections` of the image. Throws Error on shapes that do not
  // fit.
  Detections decode(const std::vector<const Tensor*>& logits, const std::vector<const Tensor*>& deltas, double scale,
                    double width, double height) const;

  const ModelFile& model() const { return model_; }

 private:
  ModelFile model_;
  std::vector<AnchorLevel> anchors_;
};

// Suppression within one class, down to the best `detections`. Detections in any order; comes back ranked.
Detections suppress(Detections detections, const SuppressionSettings& settings);

}  // namespace cytodet::models
