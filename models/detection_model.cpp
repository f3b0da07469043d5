#include "models/detection_model.h"

namespace cytodet::models {

void DetectionModel::preprocess(const Image& image, const Letterbox& box, float* out) const {
  models::preprocess(image, input(), box, out);
}

void DetectionModel::preprocess(const Image& image, const Letterbox& box, const InputQuantization& quantization,
                                uint8_t* out) const {
  models::preprocess(image, input(), box, quantization, out);
}

Detections DetectionModel::decode(std::span<const Tensor* const> outputs, const Letterbox& box, int width, int height) const {
  // Rows are counted as wide as columns first, so that overlaps are those of the shapes that the network saw.
  const double stretch = box.scale_y / box.scale;
  Detections found = decode_square(outputs, box.scale, width, height * stretch);
  if (stretch != 1)
    for (Detection& d : found) {
      d.box.y0 /= stretch;
      d.box.y1 /= stretch;
    }
  return found;
}

}  // namespace cytodet::models
